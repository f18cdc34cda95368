"""Streams whose connection is cut: whole all the same for who asks for that, over for all others."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
import threading
import time

import httpx
import pytest
from cells import metric
from ollama_nb_server.sharing.tokens import TokenFile
from page import Page

import ollama_nb
from ollama_nb.asking.many import ask_many
from ollama_nb.asking.request import Request
from ollama_nb.asking.streaming import ask
from ollama_nb.connection import silence
from ollama_nb.display.screens import LiveCell

GRAMMAR = 'root ::= ([a-z ]{0,50} "\\n")+ "END"'  # an end that no model comes to by itself
RESUME = {"X-Ollama-Nb-Resume": "1"}


CUTS = [1500, 1000, 1000]  # few, since a busy server says several tokens in one document


class Relay:
    """Passes bytes on between clients and a server; cuts a connection after so many bytes of it.

    With `hushes` the client is not told: its connection stays open, as a Hub's proxy leaves it.
    """

    def __init__(self, url: str) -> None:
        target = httpx.URL(url)
        self.target = (target.host, target.port)
        self.cuts: list[int] = []
        self.hushes = False
        self.num_cut = 0
        self.num_bytes = 0  # of answers
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
            while data := source.recv(1024):
                target.sendall(data)
                count += len(data)
                self.num_bytes += len(data) if answers else 0
                if answers and self.cuts and count > self.cuts[0]:
                    self.cuts.pop(0)
                    self.num_cut += 1
                    break
        except OSError:
            pass
        for each in (source,) if self.hushes and answers else (source, target):
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


@pytest.fixture(scope="module")
def alone(ollama_server) -> str:
    """The answer that nobody cuts."""
    body = {"model": "demo", "stream": False, **fields(800)}
    with ollama_server.client() as client:
        return str(client.post("/api/generate", json=body).json()["response"])


def test_an_answer_is_whole_over_several_connections(relay, alone) -> None:
    ollama_nb.connect(relay.url)
    relay.cuts = list(CUTS)

    answer = ask(Request("generate", "demo", fields(800)), LiveCell("demo", lambda *_: 1))

    assert answer == alone
    assert relay.num_cut == 3
    assert answer.done_reason == "length"


@pytest.fixture
def impatient(monkeypatch) -> None:
    monkeypatch.setattr(silence, "SHORTEST_S", 0.5)
    monkeypatch.setattr(silence, "MISSED", 2)


@pytest.mark.usefixtures("impatient")
def test_a_proxy_that_does_not_tell_of_a_cut_holds_nobody(ollama_server, relay) -> None:
    body = {"model": "demo", "stream": False, **fields(400)}
    with ollama_server.client() as client:
        alone = client.post("/api/generate", json=body).json()["response"]
    ollama_nb.connect(relay.url)
    relay.cuts, relay.hushes = [5_000], True

    answer = ask(Request("generate", "demo", fields(400)), LiveCell("demo", lambda *_: 1))

    assert relay.num_cut == 1
    assert answer == alone


@pytest.mark.usefixtures("impatient")
def test_a_server_that_died_behind_such_a_proxy_is_an_error(other) -> None:
    other.heartbeat = "0.1"
    ollama_nb.connect(other.url)

    with pytest.raises(ollama_nb.ServerWentAway, match=r"nothing has come for 0.5 s"):
        ollama_nb.generate("one two hush", model="other", show=False)
    with pytest.raises(ollama_nb.ServerWentAway, match=r"nothing has come for 0.5 s"):
        ollama_nb.pull("hush", show=False)


def test_a_server_that_promises_no_heartbeat_may_be_silent(other, monkeypatch) -> None:
    monkeypatch.setattr(silence, "SHORTEST_S", 0.01)
    ollama_nb.connect(other.url)

    answer = ollama_nb.generate("one two slowly", model="other", show=False)

    assert answer.split() == ["one", "two", "slowly"]


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


def num_asked(server) -> int:
    """How many answers the engine has begun."""
    with server.client() as client:
        return int(metric(client, "requests_total"))


def test_a_widget_goes_on_over_several_connections(ollama_server, relay, alone, eventually) -> None:
    ollama_nb.connect(relay.url)
    talk = ollama_nb.Chat("demo", options=fields(800)["options"])
    page = Page(talk)
    before = num_asked(ollama_server)
    relay.cuts = list(CUTS)

    page.ask("Write a story.")
    eventually(lambda: not talk.busy, "an answer", 60)
    talk.close()

    assert talk.error == ""
    assert relay.num_cut == 3
    assert page.turns[-1]["over"]
    assert "END" not in talk.messages[-1]["content"]
    assert len(talk.messages[-1]["content"]) > 1000
    assert num_asked(ollama_server) == before + 1


def test_stop_of_a_widget_stops_the_engine_at_once(ollama_server, relay, eventually) -> None:
    ollama_nb.connect(relay.url)
    talk = ollama_nb.Chat("demo", options=fields(100_000)["options"])
    page, before = Page(talk), cancelled(ollama_server)
    page.ask("Write a story.")
    eventually(lambda: len(page.turns[-1]["html"]) > 300, "some words", 60)

    talk.stop()

    eventually(lambda: cancelled(ollama_server) > before, "the engine's rest", 3)
    eventually(lambda: not talk.busy, "the widget's rest", 10)
    talk.close()


def test_rows_that_are_streamed_go_on_over_several_connections(ollama_server, relay, alone) -> None:
    ollama_nb.connect(relay.url)
    before = num_asked(ollama_server)
    relay.cuts = list(CUTS)

    outcomes = ask_many([Request("generate", "demo", fields(800))], streamed=True)

    assert outcomes.of[0].answer == alone
    assert relay.num_cut == 3
    assert num_asked(ollama_server) == before + 1


@contextlib.contextmanager
def standing_still(server):
    """The server's worker computes nothing; while it does not, there are heartbeats."""
    (worker,) = server.workers()
    worker.send_signal(signal.SIGSTOP)
    try:
        yield worker
    finally:
        worker.send_signal(signal.SIGCONT)


@pytest.mark.parametrize("verb", ["generate", "chat"])
def test_rows_that_come_in_one_piece_are_waited_for_over_several_connections(
    ollama_server, relay, alone, verb
) -> None:
    """The head is there with the first heartbeat."""
    ollama_nb.connect(relay.url)
    options = fields(300)["options"]
    asked = (
        {"prompt": "Hi"}
        if verb == "generate"
        else {"messages": [{"role": "user", "content": "Hi"}]}
    )
    request = Request(verb, "demo", {**asked, "options": options})
    uncut = ask_many([request]).of[0].answer
    before, steps = num_asked(ollama_server), contextlib.ExitStack()
    steps.enter_context(standing_still(ollama_server))
    relay.cuts, until_s = [0, 0], time.monotonic() + 40

    def go_on() -> None:
        if relay.num_cut == 2 or time.monotonic() > until_s:
            steps.close()

    outcomes = ask_many([request], meanwhile=go_on)

    assert outcomes.of[0].answer == uncut
    assert outcomes.of[0].answer.stats.answer_tokens == 300
    assert num_asked(ollama_server) == before + 1


def test_ctrl_c_stops_rows_at_once_though_they_are_kept(ollama_server, relay, eventually) -> None:
    ollama_nb.connect(relay.url)
    before, stopped = cancelled(ollama_server), []

    def interrupt() -> None:
        if not stopped and relay.num_bytes > 500:  # the heads, with the first heartbeats
            stopped.append(True)
            signal.raise_signal(signal.SIGINT)

    requests = [Request("generate", "demo", fields(100_000))]
    outcomes = ask_many(requests, meanwhile=interrupt)

    assert outcomes.stopped
    eventually(lambda: cancelled(ollama_server) == before + 1, "the engine's rest", 3)


@pytest.mark.parametrize("verb", ["pull", "push"])
def test_a_transfer_goes_on_where_it_was(other, verb) -> None:
    relay = Relay(other.url)
    ollama_nb.connect(relay.url)
    other.models.append("slow")
    relay.cuts = list(CUTS)

    getattr(ollama_nb, verb)("slow", show=False)
    relay.close()

    assert relay.num_cut == 3
    assert len(other.requests) == 4
    begun_at = [at for all in other.store.begun_at.values() for at in all]
    assert max(begun_at) > 0


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
        interval = again.headers["X-Ollama-Nb-Heartbeat"]
    bad = [users["ana"].get(f"/api/stream/{stream}?from={n}").status_code for n in ("x", "-1")]

    assert others == [404, 404, 404]
    assert first == lines
    assert interval == "5"
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
