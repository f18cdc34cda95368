"""Threads: who waits for the store's lock keeps nobody else from a thread."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from ollama_nb_server.answering.executors import NUM_READERS, NUM_WRITERS

HOLDING = """
import sys
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""
MANY = 2 * max(NUM_READERS, NUM_WRITERS)


def writers(client) -> list[Callable[[], object]]:
    """Every way to wait for the lock: a copy, a delete, a first question to the bundled model."""
    copying = {"source": "m", "destination": "n"}
    return [
        lambda: client.post("/api/copy", json=copying),
        lambda: client.request("DELETE", "/api/delete", json={"model": "m"}),
        lambda: client.post("/api/show", json={"model": "demo"}),
    ]


@pytest.mark.parametrize("kind", range(3), ids=["copy", "delete", "install"])
def test_whoever_reads_is_answered_however_many_wait_to_write(
    start_server, tmp_path: Path, kind: int
) -> None:
    models = tmp_path / "models"
    with start_server(OLLAMA_MODELS=str(models)).client() as client:
        client.post("/api/create", json={"model": "m", "from": "demo"}).raise_for_status()
        client.request("DELETE", "/api/delete", json={"model": "demo"}).raise_for_status()
        asked = {"model": "m", "prompt": "Hi", "stream": False, "options": {"num_predict": 2}}
        client.post("/api/generate", json=asked).raise_for_status()
        command = [sys.executable, "-c", HOLDING, str(models / ".ollama-nb.lock")]
        with (
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder,
            ThreadPoolExecutor(MANY) as pool,
        ):
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"held\n"
            waiting = [pool.submit(writers(client)[kind]) for _ in range(MANY)]
            read = [
                client.get("/api/tags"),
                client.post("/api/show", json={"model": "m"}),
                client.post("/api/generate", json=asked),
                client.post("/api/embed", json={"model": "m", "input": "Hi"}),
            ]
            answered = [writer for writer in waiting if writer.done()]
            holder.kill()

        assert [answer.status_code for answer in read] == [200] * len(read)
        assert not answered
