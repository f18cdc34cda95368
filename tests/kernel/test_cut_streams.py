"""Streams whose connection is cut: whole all the same for who asks for that, over for all others."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
import time

import httpx
import pytest
from ollama_nb_server.sharing.tokens import TokenFile

import ollama_nb
from ollama_nb.asking.request import Request
from ollama_nb.asking.streaming import ask
from ollama_nb.display.screens import LiveCell

GRAMMAR = 'root ::= ([a-z ]{0,50} "\\n")+ "END"'  # an end that no model comes to by itself
RESUME = {"X-Ollama-Nb-Resume": "1"}


class Relay:
    """Passes bytes on between clients and a server; cuts a connection after so many bytes of it."""

    def __init__(self, url: str) -> None:
        target = httpx.URL(url)
        self.target = (target.host, target.port)
        self.cuts: list[int] = []
        self.num_cut = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self.target)
            threading.Thread(target=self._pass, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self._pass, args=(server, client, True), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, answers: bool) -> None:
        count = 0
        try:
            while data := source.recv(4096):
                target.sendall(data)
                count += len(data)
                if answers and self.cuts and count > self.cuts[0]:
                    self.cuts.pop(0)
                    self.num_cut += 1
                    break
        except OSError:
            pass
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def relay(ollama_server):
    made = Relay(ollama_server.url)
    yield made
    made.close()


def fields(num_predict: int) -> dict:
    options = {"temperature": 0, "num_predict": num_predict, "grammar": GRAMMAR}
    options |= {"seed": 1, "draft_num_predict": 0}  # the same every time, a document a token
    return {"prompt": "Write a story.", "options": options}


def cancelled(server) -> int:
    """How many requests have been cancelled in the engine."""
    return len(re.findall(r"generated, cancelled", server.log.read_text()))


def test_an_answer_is_whole_over_several_connections(ollama_server, relay) -> None:
    body = {"model": "demo", "stream": False, **fields(800)}
    with ollama_server.client() as client:
        alone = client.post("/api/generate", json=body).json()["response"]
    ollama_nb.connect(relay.url)
    relay.cuts = [20_000, 15_000, 10_000]

    answer = ask(Request("generate", "demo", fields(800)), LiveCell("demo", lambda *_: 1))

    assert answer == alone
    assert relay.num_cut == 3
    assert answer == alone
    assert answer.done_reason == "length"


def test_stop_stops_the_engine_at_once(ollama_server, relay, eventually) -> None:
    ollama_nb.connect(relay.url)

    class Stopped(LiveCell):
        def update(self, text: str, thinking: str = "", waiting: str = "") -> None:
            if len(text) > 300:
                raise KeyboardInterrupt

    before = cancelled(ollama_server)
    with pytest.raises(ollama_nb.errors.Interrupted):
        ask(Request("generate", "demo", fields(100_000)), Stopped("demo", lambda *_: 1))

    eventually(lambda: cancelled(ollama_server) > before, "the engine's rest", 3)


def begun(client: httpx.Client, headers: dict[str, str], num_lines: int = 5) -> tuple[str, list]:
    """Ask, read some lines, and hang up; the stream's id, and the lines."""
    body, lines = {"model": "demo", **fields(20_000)}, []
    with client.stream("POST", "/api/generate", json=body, headers=headers) as answer:
        for line in answer.iter_lines():
            lines.append(json.loads(line))
            if len(lines) == num_lines:
                break
        return answer.headers.get("X-Ollama-Nb-Stream", ""), lines


def test_everybody_else_s_hang_up_cancels(ollama_server, eventually) -> None:
    before = cancelled(ollama_server)
    with ollama_server.client() as client:
        stream, _ = begun(client, {})

    assert stream == ""
    eventually(lambda: cancelled(ollama_server) > before, "the engine's rest", 3)


@pytest.fixture(scope="module")
def users(start_server, tmp_path_factory):
    tokens = TokenFile(tmp_path_factory.mktemp("users") / "tokens.json")
    made = {name: tokens.add(name, is_admin=name == "eve") for name in ("ana", "ben", "eve")}
    server = start_server("--tokens", str(tokens.path), OLLAMA_NB_UNREAD="2s")
    clients = {
        name: httpx.Client(
            base_url=server.url, headers={"Authorization": f"Bearer {token}"}, timeout=60
        )
        for name, token in made.items()
    }
    yield server, clients
    for client in clients.values():
        client.close()


def test_a_stream_is_its_owner_s_alone_and_ends_at_a_word(users, eventually) -> None:
    server, users = users
    before = cancelled(server)
    stream, lines = begun(users["ana"], RESUME)
    path, cancel = f"/api/stream/{stream}?from={len(lines)}", f"/api/cancel/{stream}"

    others = [users[name].get(path).status_code for name in ("ben", "eve")]
    others.append(users["ben"].post(cancel).status_code)
    with users["ana"].stream("GET", f"/api/stream/{stream}?from=0") as again:
        first = [json.loads(line) for line, _ in zip(again.iter_lines(), lines, strict=False)]
    bad = [users["ana"].get(f"/api/stream/{stream}?from={n}").status_code for n in ("x", "-1")]

    assert others == [404, 404, 404]
    assert first == lines
    assert bad == [400, 400]
    assert users["ana"].post(cancel).json() == {}
    assert users["ana"].get(path).status_code == 404
    eventually(lambda: cancelled(server) == before + 1, "the engine's rest", 3)


def test_nothing_is_left_when_nobody_comes(users, eventually) -> None:
    server, users = users
    before, began_s = cancelled(server), time.monotonic()
    stream, _ = begun(users["ana"], RESUME)
    eventually(lambda: cancelled(server) > before, "the engine's rest", 10)

    assert time.monotonic() - began_s > 1.9
    assert users["ana"].get(f"/api/stream/{stream}?from=0").status_code == 404
