"""Another process holds the store's lock: who reads is answered at once, who writes is told why."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, as_completed, wait
from pathlib import Path

import httpx
import pytest

HOLDING = """
import sys
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""
NUM_WRITERS = 24  # more than there are threads for them
NUM_READS = 100  # meanwhile all of the writers have arrived


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def client(start_server: Callable, models: Path) -> Iterator[httpx.Client]:
    with start_server(OLLAMA_MODELS=str(models)).client() as client:
        client.post("/api/generate", json={"model": "demo"}).raise_for_status()  # it is loaded
        yield client


@pytest.fixture
def other_process(client: httpx.Client, models: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", HOLDING, str(models / ".ollama-nb.lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_readers_are_answered_while_writers_wait(
    client: httpx.Client, models: Path, other_process: subprocess.Popen
) -> None:
    """Whoever reads has its answer before any of those who write has given up."""
    asked = {"prompt": "Once", "stream": False, "options": {"num_predict": 2}}
    made = {"model": "made", "from": "demo", "system": "Be kind."}
    bodies = [("create", made)] + [
        ("copy", {"source": "demo", "destination": f"copy-{i}"}) for i in range(NUM_WRITERS)
    ]
    with ThreadPoolExecutor(len(bodies)) as pool:
        writers: list[Future[httpx.Response]] = [
            pool.submit(httpx.post, f"{client.base_url}/api/{verb}", json=body, timeout=60)
            for verb, body in bodies
        ]
        read = [
            *(client.get("/api/tags") for _ in range(NUM_READS)),
            client.post("/api/show", json={"model": "demo"}),
            client.post("/api/generate", json={"model": "demo", **asked}),
            client.post("/api/embed", json={"model": "demo", "input": "Once"}),
            client.get("/api/ps"),
        ]
        given_up, _ = wait(writers, timeout=0, return_when=FIRST_COMPLETED)
        stream, refused = writers[0].result(), next(as_completed(writers[1:])).result()
        other_process.kill()

    assert {answer.status_code for answer in read} == {200}
    assert not given_up
    said = refused.json()["error"]
    assert refused.status_code == 503
    assert said.startswith(f"the model store {models} cannot be changed now")
    assert f"another process has held its lock {models / '.ollama-nb.lock'}" in said
    assert json.loads(stream.text.splitlines()[-1]) == {"error": said}, "a stream ends with it"


def test_nobody_waits_for_those_who_wait_for_the_bundled_model(
    client: httpx.Client, models: Path, other_process: subprocess.Popen
) -> None:
    """It is written into the store when it is first asked for, which needs the lock."""
    demo = models / "manifests/registry.ollama.ai/library/demo/latest"
    demo.rename(demo.with_name("kept"))
    with ThreadPoolExecutor(NUM_WRITERS) as pool:
        writers = [
            pool.submit(
                httpx.post, f"{client.base_url}/api/show", json={"model": "demo"}, timeout=60
            )
            for _ in range(NUM_WRITERS)
        ]
        read = [client.get("/api/tags") for _ in range(NUM_READS)]
        read.append(client.post("/api/show", json={"model": "demo:kept"}))
        given_up, _ = wait(writers, timeout=0, return_when=FIRST_COMPLETED)
        other_process.kill()
        shown = [writer.result().status_code for writer in writers]

    assert {answer.status_code for answer in read} == {200}
    assert not given_up
    assert shown == [200] * NUM_WRITERS


def test_writers_go_on_when_the_other_process_has_ended(client, other_process) -> None:
    """However it ends: the system takes a dead process's locks away."""
    copy = {"source": "demo", "destination": "copy"}
    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit(client.post, "/api/copy", json=copy)
        other_process.kill()

        assert writer.result().status_code == 200
