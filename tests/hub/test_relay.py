"""`/ollama` of a user's server on a Hub, and what becomes of a service that is killed."""

from __future__ import annotations

import hashlib
import json
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import psutil
import pytest

pytestmark = pytest.mark.slow

STORY = {"model": "demo", "prompt": "Once", "options": {"num_predict": 60, "temperature": 0}}
RESTART_S = 60.0


@pytest.fixture
def own(alice):
    """Alice's own server."""
    base = f"{alice.url}ollama"
    with httpx.Client(base_url=base, headers=alice.headers, timeout=60, trust_env=False) as client:
        yield client


def test_a_user_s_server_starts_no_engine_and_streams_what_the_service_says(hub, own) -> None:
    with own.stream("POST", "/api/generate", json=STORY) as answer:
        lines = [json.loads(line) for line in answer.iter_lines()]

    assert answer.headers["Content-Type"] == "application/x-ndjson"
    assert len(lines) > 2  # how many tokens come in a line depends on the machine
    assert lines[-1]["eval_count"] == 60
    workers = [p for p in psutil.process_iter() if "ollama_nb_server.engine.worker" in words(p)]
    service = hub.service_process()
    assert {worker.ppid() for worker in workers if hub_of(worker) == hub.process.pid} <= {
        service.pid
    }


def words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def hub_of(process: psutil.Process) -> int:
    """The Hub above a process, if there is one."""
    above = [p.pid for p in process.parents() if "jupyterhub" in " ".join(words(p))]
    return above[-1] if above else 0


def test_answers_are_those_of_the_service(hub, own) -> None:
    token = hub.token_of("alice", "access:services!service=ollama")
    there = hub.call("POST", "/api/show", token, json={"model": "nobody"})
    here = own.post("/api/show", json={"model": "nobody"})

    assert (here.status_code, here.json()) == (there.status_code, there.json())
    assert own.get("/", headers={"Accept": "text/html"}).text == "Ollama is running"
    assert own.get("/api/nope").status_code == 404
    moved = own.get("/api/tags/")
    assert moved.headers["Location"] == "/base/user/alice/ollama/api/tags"


def test_jupyter_s_login_guards_it(alice) -> None:
    for method, path in [("GET", "/api/tags"), ("POST", "/api/generate")]:
        answer = httpx.request(method, f"{alice.url}ollama{path}", trust_env=False)
        assert answer.status_code in (302, 403)


def test_an_upload_that_is_refused_is_refused_before_its_end(own) -> None:
    def pieces():
        for _ in range(400):
            yield bytes(1 << 20)

    began = time.monotonic()
    try:
        answer = own.post("/api/blobs/no-digest", content=pieces())
    except httpx.TransportError:  # the connection was closed while more was to come
        pass
    else:
        assert answer.status_code in (400, 502, 503)  # a proxy on the way says 503 of itself
    assert time.monotonic() - began < 10


def test_an_administrator_s_upload_goes_through(hub, eventually) -> None:
    boss = hub.start_server("boss", eventually)
    content = b"x" * (3 << 20)
    path = f"{boss.url}ollama/api/blobs/sha256:{hashlib.sha256(content).hexdigest()}"

    sent = httpx.post(path, content=content, headers=boss.headers, timeout=60, trust_env=False)
    found = httpx.head(path, headers=boss.headers, timeout=60, trust_env=False)

    assert (sent.status_code, found.status_code) == (201, 200)


def test_who_leaves_a_user_s_server_leaves_the_service_too(hub, own, eventually) -> None:
    body = STORY | {
        "options": {"num_predict": -1, "temperature": 0}
    }  # it tells stories without end
    with own.stream("POST", "/api/generate", json=body) as answer:
        next(answer.iter_lines())
    left = "the client went away"

    eventually(lambda: left in hub.log.read_text(errors="replace"), "the end at the service", 10)


@pytest.fixture
def kernel(alice):
    kernel = alice.kernel()
    yield kernel
    kernel.channels.close()


ENDLESS = """import ollama_nb; ollama_nb.settings.live = True
endless = {"num_predict": -1, "grammar": 'root ::= ([a-z ]{0,50} "\\\\n")+ "END"'}
ollama_nb.generate("Write a story.", model="demo", options=endless, show=True)"""


def test_an_answer_whose_service_is_killed_ends(hub, kernel, eventually) -> None:
    """The Hub's proxy does not tell: it leaves the kernel's connection open."""
    with ThreadPoolExecutor(1) as threads:
        cell = threads.submit(kernel.run, ENDLESS)
        eventually(lambda: len(kernel.shown) > 100, "an answer", 20)
        hub.service_process().kill()

        said = cell.result(90)

    assert any(word in said for word in ("broke", "no such stream")), said
    eventually(hub.is_up, "the service again", RESTART_S)


def test_a_killed_service_is_a_clear_error_and_comes_back(hub, own, kernel, eventually) -> None:
    kernel.run("import ollama_nb; ollama_nb.connect()")
    old = hub.service_process()
    old.kill()

    here = own.get("/api/tags")
    in_the_cell = kernel.run("print(ollama_nb.generate('Once', model='demo'))")
    eventually(hub.is_up, "the service again", RESTART_S)

    assert here.status_code == 503
    assert any(word in here.text for word in ("503", "does not answer", "Service Unavailable"))
    is_said = any(said in in_the_cell for said in ("broke", "503", "not ready"))
    assert is_said or "Traceback" not in in_the_cell, in_the_cell  # the kernel waits for a while
    assert hub.service_process().pid != old.pid
    assert len(kernel.run("print(ollama_nb.generate('Once', model='demo'))")) > 5
