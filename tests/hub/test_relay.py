"""`/ollama` of a user's server on a Hub, and what becomes of a service that is killed."""

from __future__ import annotations

import hashlib
import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

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


def test_an_administrator_s_upload_goes_through(servers) -> None:
    boss = servers["boss"]
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


ENDLESS = """import ollama_nb; ollama_nb.settings.live = True
endless = {"num_predict": -1, "grammar": 'root ::= ([a-z ]{0,50} "\\\\n")+ "END"'}
ollama_nb.generate("Write a story.", model="demo", options=endless, show=True)"""
GENERATE = "print(ollama_nb.generate('Once', model='demo'))"
# A machine may be slow to start the service; a person would run the cell again.
PATIENT = "import ollama_nb.connection.patience as patience; patience.TOTAL_S = 90.0"
# How long a server is silent that is taken for dead: a heartbeat comes every second.
SOON = "import ollama_nb.connection.silence as silence; silence.SHORTEST_S = 8.0"
FIRST = "import ollama_nb; print(*ollama_nb.models().index)"


@dataclass(frozen=True)
class Outage:
    """What was said while the service was killed and came back."""

    pids: tuple[int, int]  # of the service, before and after
    status: int
    sentence: str
    broken_cell: str  # whose answer was on its way
    next_cell: str
    first_cell: str  # of a kernel that had not looked for a server
    cell_later: str


@pytest.fixture(scope="module")
def outage(hub, alice, bob, eventually):
    kernels = [alice.kernel(), alice.kernel(), bob.kernel()]
    asked, connected, new = kernels
    connected.run(f"import ollama_nb; ollama_nb.connect(); {PATIENT}")
    new.run(PATIENT)
    asked.run(SOON)
    with ThreadPoolExecutor(3) as threads:
        broken = threads.submit(asked.run, ENDLESS)
        eventually(lambda: len(asked.shown) > 100, "an answer")
        before = hub.service_process()
        before.kill()
        cells = [threads.submit(connected.run, GENERATE), threads.submit(new.run, FIRST)]
        here = httpx.get(
            f"{alice.url}ollama/api/tags", headers=alice.headers, timeout=60, trust_env=False
        )
        eventually(hub.is_up, "the service again", RESTART_S)
        pids = (before.pid, hub.service_process().pid)
        said = [cell.result(120) for cell in (broken, *cells)]
    yield Outage(pids, here.status_code, here.text, *said, asked.run(GENERATE))
    for kernel in kernels:
        kernel.channels.close()


def test_a_killed_service_comes_back(outage) -> None:
    old, new = outage.pids

    assert old != new
    assert len(outage.cell_later) > 5
    assert "Traceback" not in outage.cell_later


def test_a_user_s_server_says_that_it_is_away(outage) -> None:
    assert outage.status == 503
    assert any(said in outage.sentence for said in ("503", "does not answer", "Unavailable"))


def test_an_answer_whose_service_is_killed_ends(outage) -> None:
    """The Hub's proxy does not tell: it leaves the kernel's connection open."""
    said = outage.broken_cell

    assert any(word in said for word in ("broke", "no such stream")), said


def test_a_cell_waits_until_the_service_is_back(outage) -> None:
    assert len(outage.next_cell) > 5
    assert "Traceback" not in outage.next_cell


def test_a_kernel_that_looks_for_it_now_waits_too(outage) -> None:
    assert outage.first_cell.endswith("demo:latest")
    assert "not ready yet: asking again" in outage.first_cell
