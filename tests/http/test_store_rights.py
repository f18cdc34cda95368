"""A store that cannot be used is said when the server starts; what can be done with it is done."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from ollama_nb_server.library.names import ModelName
from ollama_nb_server.library.permissions import obstacle
from ollama_nb_server.library.store import Store

WHAT_TO_DO = "let OLLAMA_MODELS name another folder"


@pytest.mark.parametrize("place", ["", "not/there/yet", "models"])
def test_a_store_that_can_be_written_has_no_obstacle(tmp_path: Path, place: str) -> None:
    (tmp_path / "models" / "blobs").mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))

    assert obstacle(tmp_path / place) == ""
    assert sorted(tmp_path.rglob("*")) == before, "nothing stays of the attempt"


@pytest.mark.parametrize("place", ["file", "file/models", "models"])
def test_a_place_that_is_no_folder_is_said_so(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "blobs").touch()

    said = obstacle(tmp_path / place)

    assert said.startswith(f"the model store {tmp_path / place} cannot be read (Not a directory")
    assert said.endswith(WHAT_TO_DO)


def test_a_read_only_store_is_said_and_its_models_answer(
    start_on_a_disk: Callable, tmp_path: Path
) -> None:
    Store(tmp_path / "models").model(ModelName.parse("demo"))
    client, _ = start_on_a_disk("ro", kept=True)
    asked = {"model": "demo", "prompt": "Once", "stream": False, "options": {"num_predict": 2}}

    answer = client.post("/api/generate", json=asked)
    refused = client.post("/api/copy", json={"source": "demo", "destination": "copy"})

    (said,) = [line for line in read_log(tmp_path) if "cannot be written" in line]
    assert f"the model store {tmp_path / 'models'} cannot be written (Read-only file system" in said
    assert said.endswith(WHAT_TO_DO)
    assert answer.json()["eval_count"] == 2
    assert [model["name"] for model in client.get("/api/tags").json()["models"]] == ["demo:latest"]
    assert (refused.status_code, WHAT_TO_DO in refused.json()["error"]) == (500, True)


def read_log(folder: Path) -> list[str]:
    return (folder / "log").read_text().splitlines()


@pytest.mark.parametrize("place", ["file", "file/models"])
def test_a_server_whose_store_is_no_folder_starts_and_says_so(
    start_server: Callable, tmp_path: Path, place: str
) -> None:
    (tmp_path / "file").touch()
    server = start_server(OLLAMA_MODELS=str(tmp_path / place))

    with server.client() as client:
        listed = client.get("/api/tags")
        shown = client.post("/api/show", json={"model": "demo"})

    assert "cannot be read (Not a directory" in server.log.read_text()
    assert listed.json() == {"models": []}
    assert (shown.status_code, "let OLLAMA_MODELS name a folder" in shown.text) == (500, True)


def test_a_jupyter_server_says_so_too(
    start_jupyter: Callable, tmp_path: Path, eventually: Callable
) -> None:
    (tmp_path / "file").touch()

    server = start_jupyter(OLLAMA_MODELS=str(tmp_path / "file"))

    said = "cannot be read (Not a directory"
    eventually(lambda: said in server.log.read_text(), "the line in the log")
    assert httpx.get(f"{server.url}/api/tags", headers=server.headers).json() == {"models": []}
