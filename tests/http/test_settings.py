"""What an administrator sets reaches the loads and the requests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ollama_nb_server import standalone
from ollama_nb_server.answering import preparation
from ollama_nb_server.app import OllamaNb
from ollama_nb_server.engine.messages import LoadSpec
from ollama_nb_server.environment import Settings
from ollama_nb_server.scheduling.context import NOBODY

MODEL = SimpleNamespace(
    parameters={}, capabilities=(), weights=Path("w"), adapters=(), projectors=(), drafts=(),
    name=SimpleNamespace(display="m"), digest="", manifest=SimpleNamespace(layers=()),
)  # fmt: skip


class Scheduler:
    num_express = 0

    def lease(self, spec: LoadSpec, **_: object) -> LoadSpec:
        return spec


def app(**settings: object) -> SimpleNamespace:
    return SimpleNamespace(settings=replace(Settings(), **settings), scheduler=Scheduler())


def load_of(**settings: object) -> LoadSpec:
    there = app(**settings)
    return preparation.lease(
        there, NOBODY, MODEL, preparation.merged_options(there, MODEL, {}), None
    )


def test_gpu_settings_reach_the_load() -> None:
    spec = load_of(gpu_overhead=1 << 30, sched_spread=True)

    assert (spec.gpu_overhead, spec.sched_spread) == (1 << 30, True)


def test_settings_of_attention_reach_the_load(tmp_path: Path) -> None:
    wanted = load_of(flash_attention=True, kv_cache_type="q8_0", cache=tmp_path)
    usual = load_of(calibrate=False)

    assert (wanted.flash, wanted.kv_cache_type) == (True, "q8_0")
    assert wanted.calibration == str(tmp_path / "choices")
    assert (usual.flash, usual.kv_cache_type, usual.calibration) == (None, "f16", "")


@pytest.mark.parametrize(("asked", "threads"), [({}, 3), ({"num_thread": 2}, 2)])
def test_threads_are_the_administrators_unless_a_request_says(asked: dict, threads: int) -> None:
    assert preparation.merged_options(app(num_thread=3), MODEL, asked).num_thread == threads


@pytest.mark.parametrize(("debug", "level"), [(True, "DEBUG"), (False, "INFO")])
def test_debugging_is_the_levels_default(debug: bool, level: str) -> None:
    parser = standalone.arguments(Settings(debug=debug))

    assert parser.parse_args([]).log_level == level
    assert parser.parse_args(["--log-level", "ERROR"]).log_level == "ERROR"


@pytest.mark.parametrize(
    ("trait", "value", "variable", "text", "other"),
    [
        ("num_thread", 2, "OLLAMA_NUM_THREAD", "5", 5),
        ("gpu_overhead", 7, "OLLAMA_GPU_OVERHEAD", "9", 9),
        ("sched_spread", False, "OLLAMA_SCHED_SPREAD", "1", True),
        ("debug", False, "OLLAMA_DEBUG", "1", True),
        ("flash_attention", False, "OLLAMA_FLASH_ATTENTION", "1", True),
        ("flash_attention", True, "OLLAMA_FLASH_ATTENTION", "", None),
        ("kv_cache_type", "q4_0", "OLLAMA_KV_CACHE_TYPE", "q8_0", "q8_0"),
        ("kv_cache_type", "q4_0", "OLLAMA_KV_CACHE_TYPE", "q5_1", "f16"),
        ("calibrate", True, "OLLAMA_NB_CALIBRATE", "0", False),
        ("calibrate", False, "OLLAMA_NB_CALIBRATE", "", True),
    ],
)
def test_traits_win_over_the_environment(
    monkeypatch: pytest.MonkeyPatch,
    trait: str,
    value: object,
    variable: str,
    text: str,
    other: object,
) -> None:
    monkeypatch.setenv(variable, text)

    assert getattr(OllamaNb()._settings(), trait) == other
    assert getattr(OllamaNb(**{trait: value})._settings(), trait) == value


LINES = 'root ::= ([a-z ]{0,50} "\\n")+ "END"'  # an end that no model comes to by itself
ENDLESS = {"model": "demo", "prompt": "Once", "options": {"num_predict": -1, "grammar": LINES}}


def test_a_models_queue_has_an_end(start_server: Callable[..., Any]) -> None:
    server = start_server(OLLAMA_NUM_PARALLEL="1", OLLAMA_MAX_QUEUE="1", OLLAMA_NB_HEARTBEAT="20ms")
    extras = {"X-Ollama-Nb-Extras": "1"}
    ask = {"url": "/api/generate", "json": ENDLESS}
    with server.client() as client, client.stream("POST", **ask) as running:
        text = running.iter_lines()  # who lets go of the lines has left
        next(line for line in text if '"response":""' not in line)
        with client.stream("POST", **ask, headers=extras) as queued:
            beats = queued.iter_lines()
            next(line for line in beats if '"phase":"queued","place":1' in line)
            third = client.post("/api/generate", json=ENDLESS | {"stream": False})
            vectors = client.post("/api/embed", json={"model": "demo", "input": "a"})

    assert third.status_code == 503
    assert third.json() == {
        "error": "server busy, please try again.  maximum pending requests exceeded"
    }
    assert vectors.is_success, "vectors of texts have a queue of their own"
