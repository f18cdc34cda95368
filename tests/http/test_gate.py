"""One user may have many requests under way, not any number."""

from __future__ import annotations

import asyncio
import json
import socket
import threading

import httpx
import psutil
import pytest
from ollama_nb_server.handlers.gate import Gate
from ollama_nb_server.sharing import BadSharing, Sharing
from ollama_nb_server.sharing.tokens import TokenFile

LINES = 'root ::= ([a-z ]{0,50} "\\n")+ "END"'  # an end that no model comes to by itself
ENDLESS = {
    "model": "demo",
    "prompt": "Once",
    "options": {"temperature": 0, "num_predict": -1, "grammar": LINES},
}


def test_a_user_s_requests_are_counted_until_they_leave() -> None:
    gate = Gate(most=2)

    assert [gate.enter(n, "ana") for n in range(2)] == [None, None]
    assert gate.enter(2, "ana").status == 429
    assert gate.enter(3, "ben") is None
    gate.leave(0)
    gate.leave(0)
    assert gate.enter(4, "ana") is None
    assert len(gate) == 3


def test_nameless_callers_and_0_have_no_limit() -> None:
    one, other = Gate(most=1), Gate(most=0)

    assert [one.enter(n, "") for n in range(5)] == [None] * 5
    assert [other.enter(n, "ana") for n in range(5)] == [None] * 5


async def test_a_closing_gate_lets_nobody_in_and_waits_for_those_inside() -> None:
    gate = Gate()
    gate.enter(1, "")
    gate.close()
    emptied = asyncio.ensure_future(gate.emptied())
    await asyncio.sleep(0)

    assert gate.enter(2, "").status == 503
    assert not emptied.done()
    gate.leave(1)
    await asyncio.wait_for(emptied, 10)
    await asyncio.wait_for(Gate().emptied(), 10)


def test_what_goes_on_with_another_request_is_let_in_whatever_there_is() -> None:
    gate = Gate(most=1)
    gate.enter(1, "ana")

    assert gate.enter(2, "ana").status == 429
    assert gate.enter(3, "ana", goes_on=True) is None
    gate.close()
    assert gate.enter(4, "ana").status == 503
    assert gate.enter(5, "ana", goes_on=True) is None
    assert len(gate) == 3


def test_a_limit_is_a_number() -> None:
    with pytest.raises(BadSharing, match="max_requests_per_user"):
        Sharing.of({"max_requests_per_user": -1}, "here")


def test_a_real_server_refuses_what_is_too_much(start_server, tmp_path) -> None:
    tokens = TokenFile(tmp_path / "tokens.json")
    ana, ben = (tokens.add(name, is_admin=False) for name in ("ana", "ben"))
    said = {"OLLAMA_NB_SHARING": json.dumps({"max_requests_per_user": 1})}
    server, begun, done = (
        start_server("--tokens", str(tokens.path), **said),
        *(threading.Event() for _ in range(2)),
    )

    def client(token: str) -> httpx.Client:
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.Client(base_url=server.url, headers=headers, timeout=60)

    def ask() -> None:
        options = {"num_predict": -1, "grammar": 'root ::= ([a-z ]{0,50} "\\n")+ "END"'}
        body = {"model": "demo", "prompt": "Hi", "options": options}
        with client(ana) as mine, mine.stream("POST", "/api/generate", json=body) as answer:
            for _ in answer.iter_lines():
                begun.set()
                if done.is_set():
                    return

    thread = threading.Thread(target=ask)
    thread.start()
    assert begun.wait(40)
    with client(ana) as mine, client(ben) as other:
        refused, served = mine.get("/api/tags"), other.get("/api/tags")
        done.set()
        thread.join(30)

    assert (refused.status_code, served.status_code) == (429, 200)
    assert "under way" in refused.json()["error"]
    assert refused.headers["Retry-After"]


@pytest.fixture
def shared(start_server, tmp_path):
    """Start a server that Ana and Eve share, who manages: its address, and a client of each."""
    tokens = TokenFile(tmp_path / "tokens.json")
    made = {name: tokens.add(name, is_admin=name == "eve") for name in ("ana", "eve")}
    opened = []

    def start(**said: int):
        variable = {"OLLAMA_NB_SHARING": json.dumps(said)}
        server = start_server("--tokens", str(tokens.path), **variable)
        for token in made.values():
            headers = {"Authorization": f"Bearer {token}"}
            opened.append(httpx.Client(base_url=server.url, headers=headers, timeout=60))
        return server, *opened

    yield start
    for client in opened:
        client.close()


def test_200_who_connect_and_say_nothing_make_way_and_take_little(shared) -> None:
    server, ana, _ = shared(max_connections=100)
    assert ana.get("/api/tags").is_success
    process, target = psutil.Process(server.process.pid), httpx.URL(server.url)
    before, silent = process.memory_info().rss, []
    for _ in range(200):
        silent.append(socket.create_connection((target.host, target.port)))
        silent[-1].settimeout(10)

    said = [one.recv(1000) for one in silent[:100]]
    many = len(process.net_connections())
    with httpx.Client(base_url=server.url, headers=ana.headers, timeout=60) as newcomer:
        served = newcomer.get("/api/tags")
    for one in silent:
        one.close()

    assert said == [b""] * 100  # who has been silent for longest
    assert many <= 110
    assert process.memory_info().rss - before < 20e6
    assert served.is_success


def test_where_all_have_a_request_under_way_who_connects_is_refused(shared, eventually) -> None:
    server, ana, eve = shared(max_connections=2)
    target = httpx.URL(server.url)
    with (
        ana.stream("POST", "/api/generate", json=ENDLESS) as one,
        eve.stream("POST", "/api/generate", json=ENDLESS) as other,
        socket.create_connection((target.host, target.port)) as third,
    ):
        lines = one.iter_lines(), other.iter_lines()  # held, or the connections end
        assert all(map(next, lines))
        third.settimeout(10)
        said = third.recv(1000)

    assert b" 503 " in said
    assert b"too many connections" in said
    eventually(lambda: httpx.get(server.url).status_code == 401, "a place")


def test_a_prompt_of_a_user_has_its_limit_and_one_of_an_administrator_the_context_s(shared) -> None:
    _, ana, eve = shared(max_prompt_tokens=50)
    long = {
        "model": "demo",
        "prompt": "word " * 100,
        "options": {"num_predict": 1},
        "stream": False,
    }
    turns = [{"role": "user", "content": "word " * 100}]
    chat = {"model": "demo", "messages": turns, "options": {"num_predict": 1}, "stream": False}
    score = {"model": "demo", "prompts": ["Hi", "word " * 100], "choices": ["Yes"]}
    behind = {"model": "demo", "prompt": "Hi", "choices": ["Yes", "word " * 100]}
    texts = {"model": "demo", "input": ["Hi", "word " * 100]}
    old = {"model": "demo", "prompt": "word " * 100}
    asked = [
        *[("generate", long), ("chat", chat), ("score", score), ("score", behind)],
        *[("embed", texts), ("embeddings", old)],
    ]

    refused = [ana.post(f"/api/{route}", json=body) for route, body in asked]
    served = [eve.post(f"/api/{route}", json=body) for route, body in asked]
    cut = texts | {"options": {"num_ctx": 40}}
    counted = ana.post("/api/tokenize", json={"model": "demo", "text": "word " * 100})

    assert [answer.status_code for answer in refused] == [413] * 6
    for answer in refused:
        assert "and 50 are allowed here" in answer.json()["error"]
    assert [answer.status_code for answer in served] == [200] * 6
    assert ana.post("/api/embed", json=cut).is_success
    assert ana.post("/api/embed", json=texts | {"input": ["Hi"] * 100}).is_success
    assert counted.json()["count"] > 50  # who wants to know how long a text is may ask
    assert ana.post("/api/generate", json=long | {"prompt": "Hi"}).is_success
