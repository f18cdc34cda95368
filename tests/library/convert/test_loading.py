"""What was converted is loaded by the engine, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tiny
from ollama_nb_server.library.convert.adapter import convert_adapter
from ollama_nb_server.library.convert.folder import Folder
from ollama_nb_server.library.convert.model import convert_model

LOADING = Path(__file__).parent / "loading.py"
SPM_TOKENS = [
    1,
    266,
    259,
    262,
    263,
    261,
    47,
    266,
    259,
    101,
    114,
    263,
    261,
    118,
    13,
    13,
    52,
    53,
    54,
    259,
    263,
    101,
]


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all tiny models as GGUF."""
    folder = tmp_path_factory.mktemp("converted")
    for name in tiny.MODELS:
        model = Folder(tiny.write(folder / name, name))
        list(convert_model(model, folder / f"{name}.gguf", "F16"))
    return folder


def loaded(*arguments: str | Path) -> dict[str, Any]:
    """What the engine says of each file that it could load; name -> line."""
    command = [sys.executable, str(LOADING), *map(str, arguments)]
    environment = {**os.environ, "GGML_NO_BACKTRACE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, f"after {[line['name'] for line in lines]}: {done.stderr[-2000:]}"
    return {line["name"]: line for line in lines}


@pytest.fixture(scope="module")
def said(converted: Path) -> dict[str, Any]:
    return loaded(*sorted(converted.glob("*.gguf")))


@pytest.mark.parametrize("name", tiny.MODELS)
def test_a_converted_model_loads_and_decodes(name: str, said: dict[str, Any]) -> None:
    assert said[name]["finite"]
    assert len(set(said[name]["values"])) > 1


def test_a_vocabulary_without_its_sentencepiece_file_cuts_text_the_same(
    said: dict[str, Any],
) -> None:
    assert said["mistral"]["tokens"] == SPM_TOKENS
    assert said["llama-byte-fallback"]["tokens"] == SPM_TOKENS


@pytest.mark.parametrize(
    ("name", "first"),
    [("gemma2", [1, 261, 265]), ("llama-sentencepiece", [1, 261, 265]), ("llama", [259, 83, 257]),
     ("phi4", [83, 257]), ("qwen3", [83, 257]), ("bert", [2, 5]), ("nomic-bert", [2, 5])],
)  # fmt: skip
def test_a_text_begins_as_the_tokenizer_says(
    name: str, first: list[int], said: dict[str, Any]
) -> None:
    assert said[name]["tokens"][: len(first)] == first


def test_a_text_of_an_encoder_ends_with_sep(said: dict[str, Any]) -> None:
    assert said["bert"]["tokens"][-1] == 3


@pytest.mark.parametrize("name", tiny.ADAPTERS)
def test_a_converted_adapter_changes_the_answer(
    name: str, converted: Path, said: dict[str, Any]
) -> None:
    base = tiny.ADAPTERS[name]
    target = converted / f"{name}.lora"
    adapter = Folder(tiny.write_adapter(converted / f"{name}-lora", name))
    list(convert_adapter(adapter, target, converted / f"{base}.gguf"))

    changed = loaded(converted / f"{base}.gguf", "--adapter", target)

    assert changed[base]["finite"]
    assert changed[base]["values"] != said[base]["values"]
