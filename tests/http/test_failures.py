"""What goes wrong on our side is in the log, with its reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def server(start_server: Callable, tmp_path: Path):
    manifest = tmp_path / "manifests/registry.ollama.ai/library/broken/latest"
    manifest.parent.mkdir(parents=True)
    manifest.write_text("{}")
    return start_server("--log-level", "WARNING", OLLAMA_MODELS=str(tmp_path))


@pytest.mark.parametrize(
    ("verb", "request_"),
    [
        ("show", {}),
        ("generate", {"prompt": "Hi"}),
        ("pull", {"model": "127.0.0.1:1/u/m", "insecure": True, "stream": False}),
        ("chat", {"model": "demo", "messages": [], "options": {"num_ctx": "x"}}),
    ],
)
def test_every_500_is_logged_with_its_reason(server, verb: str, request_: dict) -> None:
    with server.client() as client:
        answer = client.post(f"/api/{verb}", json={"model": "broken", **request_})

    assert answer.status_code == 500
    assert f"{verb}: 500: {answer.json()['error']}" in server.log.read_text()


def test_an_error_at_the_end_of_a_stream_is_logged(server) -> None:
    with server.client() as client:
        asked = {"model": "127.0.0.1:1/u/m", "insecure": True}
        *_, last = client.post("/api/pull", json=asked).text.split("\n{")

    assert "connection refused" in last
    assert "pull, after it had begun: pull model manifest: Get " in server.log.read_text()


def test_what_is_the_clients_fault_is_not(server) -> None:
    with server.client() as client:
        assert client.post("/api/show", json={"model": "nothing"}).status_code == 404

    assert "nothing" not in server.log.read_text()
