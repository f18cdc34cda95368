"""The command `ollama-nb doctor`, as a person runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from ollama_nb_server import doctor
from ollama_nb_server.engine.hardware.choice import Choice, Key, keep
from ollama_nb_server.engine.hardware.devices import DeviceMemory
from ollama_nb_server.engine.hardware.host_memory import HostMemory
from ollama_nb_server.environment import Settings
from ollama_nb_server.library import gguf
from ollama_nb_server.library.bundled import config_of
from ollama_nb_server.library.manifest import CONFIG_TYPE, LAYER_TYPE, Layer, Manifest
from ollama_nb_server.library.names import ModelName
from ollama_nb_server.library.store import Store

GIB = 1 << 30
WHY = "flash attention takes 0.50 of the time of the usual one"


def stored(root: Path, model: Path, name: str) -> str:
    """A store with the model; the file of its weights."""
    store = Store(root)
    digest = store.blobs.add_file(model)
    data = config_of(gguf.read(store.blobs.path(digest))).encode()
    config, _ = store.blobs.add(data)
    weights = Layer(f"{LAYER_TYPE}model", digest, model.stat().st_size, model.name)
    manifest = Manifest(Layer(CONFIG_TYPE, config, len(data)), (weights,))
    store.write(ModelName.parse(name), manifest)
    return store.blobs.path(digest).name


def said(*arguments: str, **environ: str) -> str:
    command = [sys.executable, "-m", "ollama_nb_server", "doctor", *arguments]
    done = subprocess.run(
        command, env={**os.environ, **environ}, capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.fixture
def places(tmp_path: Path, demo_gguf: Path) -> dict[str, str]:
    """A store with one model, for which something was chosen."""
    weights = stored(tmp_path / "models", demo_gguf, "mine")
    key = Key(weights, "a processor, 4 in use", "llama-cpp-python 0.0.1 ab", "16 x 1000")
    keep(tmp_path / "cache" / "choices", key, Choice(True, 3, 64, (WHY,)))
    gone = Key("sha256-00", "a processor", "an engine", "1 x 64")
    keep(tmp_path / "cache" / "choices", gone, Choice(True, 3, 64))
    return {
        "OLLAMA_MODELS": str(tmp_path / "models"),
        "OLLAMA_NB_CACHE": str(tmp_path / "cache"),
        "OLLAMA_NB_CALIBRATE": "1",
    }


def test_it_says_what_was_chosen_for_each_model_and_why(places):
    lines = said(**places, OLLAMA_KV_CACHE_TYPE="q8_0").splitlines()

    (at,) = (i for i, line in enumerate(lines) if line.startswith("mine:latest:"))
    assert lines[at].endswith("with flash attention, threads: 3, prompts in steps of 64 tokens")
    assert lines[at + 2] == f"  because {WHY}"
    assert "contexts in (OLLAMA_KV_CACHE_TYPE): q8_0" in lines
    assert "flash attention (OLLAMA_FLASH_ATTENTION): chosen by measuring" in lines
    assert not [line for line in lines if "sha256-00" in line]


def test_programs_read_the_same_as_json(places):
    told = json.loads(said("--json", **places))

    (model,) = told["models"]
    key, choice = model["choices"][0]
    assert (model["model"], key["sizes"], choice["why"]) == ("mine:latest", "16 x 1000", [WHY])
    assert told["machine"]["usable"] >= 1
    assert told["settings"]["calibrate"] is True


def test_a_machine_without_models_is_well(tmp_path):
    told = said(OLLAMA_MODELS=str(tmp_path / "none"), OLLAMA_NB_CACHE=str(tmp_path / "cache"))

    assert told.splitlines()[-1] == "models: none"
    assert not (tmp_path / "none").exists()


def test_quota_memory_and_gpus_are_told(monkeypatch):
    machine = doctor.Machine(
        "a processor", 16, 8, 1.5, 1, HostMemory(64 * GIB, 32 * GIB),
        (DeviceMemory("CUDA0", 10 * GIB, 80 * GIB),), "an engine",
    )  # fmt: skip
    monkeypatch.setattr(doctor.Machine, "here", lambda: machine)

    lines = list(doctor.examine(Settings(models=Path("/nowhere"))).lines())

    assert lines[:5] == [
        "processor: a processor, 16 in this machine",
        "used: 1 (8 that this process may run on, a control group's quota of 1.5)",
        "memory: 32.0 GiB of 64.0 GiB free",
        "GPU: CUDA0, 10.0 GiB of 80.0 GiB free",
        "engine: an engine",
    ]
