from __future__ import annotations

import os
import threading
import time

import pytest
from cells import Cells, eventually, kernel_environ

from ollama_nb.magics import known_names
from ollama_nb.magics.known_names import KnownNames
from ollama_nb.magics.subcommands import SUBCOMMANDS

NOBODY = "http://127.0.0.1:9"  # the discard port: nothing answers there


@pytest.fixture(scope="module")
def typing(cells, other_for_cells):
    """The kernel, whose server has names with all that a name may hold."""
    other_for_cells.models = ["other:latest", "hf.co/user/Some-GGUF:Q4_K_M", "qwen3:0.6b"]
    time.sleep(known_names.FRESH_S * (not cells.complete("%ollama show q")))
    return cells


@pytest.mark.parametrize(
    ("typed", "proposed"),
    [
        ("%ollama show o", ["%ollama show other:latest"]),
        ("%ollama show qwen3:0", ["%ollama show qwen3:0.6b"]),
        ("%ollama show hf.co/user/S", ["%ollama show hf.co/user/Some-GGUF:Q4_K_M"]),
        ("%ollama rm other:latest q", ["%ollama rm other:latest qwen3:0.6b"]),
        ("%ollama show --template q", ["%ollama show --template qwen3:0.6b"]),
        ("%ollama create new --from q", ["%ollama create new --from qwen3:0.6b"]),
        ("x = %ollama show q", ["x = %ollama show qwen3:0.6b"]),
        ("%generate -m q", ["%generate -m qwen3:0.6b"]),
        ("%generate -t 0 --model QW", ["%generate -t 0 --model qwen3:0.6b"]),
        ("%%generate -m q", ["%%generate -m qwen3:0.6b"]),
        ("%%chat -m q", ["%%chat -m qwen3:0.6b"]),
        ("y = 1\n%chat -m q", ["y = 1\n%chat -m qwen3:0.6b"]),
        ("%%modelfile new\nFROM q", ["%%modelfile new\nFROM qwen3:0.6b"]),
    ],
)
def test_names_of_models(typing, typed, proposed):
    assert typing.complete(typed) == proposed


def test_all_names_before_the_first_letter(typing):
    assert len(typing.complete("%ollama stop ")) == 3
    assert len(typing.complete("%generate -m ")) == 3


@pytest.mark.parametrize(
    ("typed", "proposed"),
    [
        ("%ollama sh", ["%ollama show"]),
        ("%ollama show --t", ["%ollama show --template"]),
        ("%ollama create x --f", ["%ollama create x --from", "%ollama create x --file"]),
        ("%ollama create x -q q4", ["%ollama create x -q q4_K_M", "%ollama create x -q q4_K_S"]),
        ("%generate --sy", ["%generate --system"]),
        ("%chat --re", ["%chat --reset"]),
        ("%generate -o num_p", ["%generate -o num_predict="]),
        ("%%modelfile new --q", ["%%modelfile new --quantize"]),
        ("%%modelfile new\nPARAMETER num_c", ["%%modelfile new\nPARAMETER num_ctx"]),
        ("%%modelfile new\nMESSAGE a", ["%%modelfile new\nMESSAGE assistant"]),
        ("%%modelfile new\nTEM", ["%%modelfile new\nTEMPLATE"]),
    ],
)
def test_words_and_options(typing, typed, proposed):
    assert typing.complete(typed) == proposed


def test_every_subcommand_is_proposed(typing):
    assert typing.complete("%ollama ") == [f"%ollama {word}" for word in SUBCOMMANDS]


@pytest.mark.parametrize(
    "typed", ["%ollama list o", "%generate tell me o", "%ollama connect o", "%chat Hello q"]
)
def test_where_no_name_belongs_none_is_proposed(typing, typed):
    assert not [text for text in typing.complete(typed) if "latest" in text or "0.6b" in text]


def test_files_are_still_completed(typing, tmp_path):
    (tmp_path / "Modelfile.mine").touch()

    typed = f"%ollama create x -f {tmp_path}/Model"

    assert typing.complete(typed) == [f"{typed}file.mine"]


@pytest.mark.parametrize("option", ["--from", "-f"])
def test_a_folder_behind_an_option_is_looked_into(typing, tmp_path, option):
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "quince.gguf").touch()

    typed = f"%ollama create x {option} {tmp_path}/"

    assert typing.complete(typed) == [f"{typed}weights/"]
    assert typing.complete(f"{typed}weights/") == [f"{typed}weights/quince.gguf"]


def test_a_from_line_completes_paths_too(typing, tmp_path):
    (tmp_path / "quince.gguf").touch()
    typing.run(f"%cd {tmp_path}")

    assert "%%modelfile new\nFROM ./quince.gguf" in typing.complete("%%modelfile new\nFROM ./q")


def test_other_code_is_left_alone(typing):
    assert "import os\nos.getcwd" in typing.complete("import os\nos.getcw")


def test_loading_the_extension_twice_proposes_once(typing):
    typing.run("%reload_ext ollama_nb")

    assert typing.complete("%ollama show o") == ["%ollama show other:latest"]


def test_without_a_server_there_is_silence_and_none_is_started(tmp_path):
    environ = kernel_environ(NOBODY, tmp_path)
    del environ["OLLAMA_HOST"]
    alone = Cells(environ)
    try:
        alone.run("from ollama_nb.connection import places; places.DEFAULT_PORT = 9")
        begin = time.monotonic()
        assert not [text for text in alone.complete("%ollama show ") if "latest" in text]
        assert time.monotonic() - begin < 2
        assert not (tmp_path / "runtime" / "ollama-nb-server.json").exists()
    finally:
        alone.close()


def test_a_slow_server_does_not_keep_a_key_press_waiting(monkeypatch):
    monkeypatch.setattr(known_names, "PATIENCE_S", 0.05)
    answered = threading.Event()
    names = KnownNames(lambda: ["late"] if answered.wait(10) else [])

    assert names.get() == []

    answered.set()
    assert eventually(names.get, "the names arrive", deadline_s=5) == ["late"]


def test_names_are_asked_for_again_after_a_few_seconds():
    now_s = 0.0
    asked = iter([["a"], ["a", "b"]])
    names = KnownNames(lambda: next(asked), lambda: now_s)

    assert names.get() == ["a"]
    assert names.get() == ["a"]
    now_s = known_names.FRESH_S + 1
    assert names.get() == ["a", "b"]


def test_a_server_that_breaks_is_silence(other, monkeypatch):
    monkeypatch.setenv("OLLAMA_HOST", other.url)
    assert known_names.of_the_server() == ["other:latest"]

    other.token = "now it wants one"

    assert known_names.of_the_server() == []
    assert os.environ["OLLAMA_HOST"] == other.url
