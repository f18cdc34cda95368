from __future__ import annotations

import math
from pathlib import Path

import orjson
import pytest
from ollama_nb_server.environment import Settings, parse_duration, read_host
from ollama_nb_server.wire.durations import KeepAlive
from ollama_nb_server.wire.errors import BadOption
from ollama_nb_server.wire.generate import GenerateResponse
from ollama_nb_server.wire.options import Options
from ollama_nb_server.wire.times import local, utc


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1h30m", 5400), ("1.5s", 1.5), ("0", 0), ("-1m", -60), ("100ms", 0.1), ("1.5h", 5400), ("+2s", 2), ("1m0s", 60)],
)  # fmt: skip
def test_go_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "-", "5", "1x", "1.2.3s", "s", "1 s", "--1s"])
def test_bad_durations_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="time: "):
        parse_duration(text)


@pytest.mark.parametrize(
    ("value", "seconds"), [(60, 60), (1.5, 1.5), (-1, math.inf), (-0.5, math.inf), ("-1s", math.inf), (0, 0), ("0", 0)]
)  # fmt: skip
def test_keep_alive(value: object, seconds: float) -> None:
    assert KeepAlive.of(value).seconds == seconds


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1_500_000_000, "1970-01-01T00:00:01.5Z"),
        (1_000_000_001, "1970-01-01T00:00:01.000000001Z"),
    ],
)
def test_times_drop_trailing_zeros(ns: int, text: str) -> None:
    assert utc(ns) == text


def test_what_never_expires_is_far_away() -> None:
    assert local(math.inf).startswith("2319-")


def test_options_of_the_request_win_over_the_models_and_null_leaves_them() -> None:
    options = Options.merge({"top_k": 7, "seed": 3}, {"top_k": 9.9, "seed": None})

    assert (options.top_k, options.seed, options.given) == (9, 3, {"top_k", "seed"})


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("num_ctx", "x", "type integer"),
        ("top_k", True, "type integer"),
        ("temperature", "hot", "type float32"),
        ("use_mmap", "y", "type boolean"),
        ("stop", "x", "type array"),
        ("stop", [1], "an array of strings"),
    ],
)
def test_wrong_types_are_refused_in_ollamas_words(name: str, value: object, kind: str) -> None:
    with pytest.raises(BadOption) as caught:
        Options.merge({}, {name: value})

    assert str(caught.value) == f'option "{name}" must be of {kind}'


def test_retired_options_never_fail() -> None:
    assert Options.merge({}, {"tfs_z": "x", "mirostat": "x", "bogus": []}) == Options.merge(
        {}, {"mirostat": 0}
    )


def test_zero_figures_are_left_out_and_fields_have_their_order() -> None:
    response = GenerateResponse("m", 0, "", True, "stop", [1], eval_count=3)

    assert list(orjson.loads(response.encode())) == [
        "model", "created_at", "response", "done", "done_reason", "context", "eval_count",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("", "127.0.0.1", 11434),
        ("0.0.0.0", "0.0.0.0", 11434),
        (":5000", "127.0.0.1", 5000),
        ("http://box", "box", 80),
        ("https://box/path", "box", 443),
        ("box:99999", "box", 11434),
        ("[::1]:80", "::1", 80),
    ],
)
def test_ollama_host(text: str, host: str, port: int) -> None:
    assert read_host(text) == (host, port)


@pytest.mark.parametrize(
    ("variable", "text", "field", "value"),
    [
        ("OLLAMA_KEEP_ALIVE", "5", "keep_alive_s", 5.0),
        ("OLLAMA_KEEP_ALIVE", "-1", "keep_alive_s", math.inf),
        ("OLLAMA_KEEP_ALIVE", "soon", "keep_alive_s", 300.0),
        ("OLLAMA_NUM_PARALLEL", " '4' ", "num_parallel", 4),
        ("OLLAMA_MAX_QUEUE", "many", "max_queue", 512),
        ("OLLAMA_NUM_THREAD", "3", "num_thread", 3),
        ("OLLAMA_GPU_OVERHEAD", "68719476736", "gpu_overhead", 1 << 36),
        ("OLLAMA_GPU_OVERHEAD", "1GB", "gpu_overhead", 0),
        ("OLLAMA_SCHED_SPREAD", "1", "sched_spread", True),
        ("OLLAMA_DEBUG", "true", "debug", True),
        ("OLLAMA_DEBUG", "2", "debug", True),
        ("OLLAMA_DEBUG", "0", "debug", False),
        ("OLLAMA_DEBUG", "please", "debug", False),
        ("OLLAMA_NO_CLOUD", "yes", "no_cloud", True),
        ("OLLAMA_NO_CLOUD", "False", "no_cloud", False),
        ("OLLAMA_ORIGINS", "http://a, http://b", "origins", ("http://a", "http://b")),
        ("OLLAMA_NB_CACHE", "/a/b", "cache", Path("/a/b")),
        ("XDG_CACHE_HOME", "/c", "cache", Path("/c/ollama-nb")),
    ],
)
def test_the_environment(variable: str, text: str, field: str, value: object) -> None:
    assert getattr(Settings.from_environ({variable: text}), field) == value
