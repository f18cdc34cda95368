"""A server behind a real jupyter-server-proxy, which holds back all but streams of events."""

from __future__ import annotations

import os
import re
import time
from datetime import datetime, timezone

import httpx
import pytest

import ollama_nb
from ollama_nb.asking.many import ask_many
from ollama_nb.asking.request import Request
from ollama_nb.asking.streaming import ask
from ollama_nb.connection.current import current
from ollama_nb.display.screens import LiveCell
from ollama_nb.errors import ServerWentAway

ENDLESS = {"num_predict": -1, "temperature": 0, "grammar": 'root ::= ([a-z ]{0,50} "\\n")+ "END"'}
EXTENSIONS = "{'ollama_nb_server': True, 'jupyter_server_proxy': True}"
SPREAD_S = 2.0


@pytest.fixture(scope="module")
def proxied(start_jupyter, ollama_server):
    """The address of the server behind the proxy, and the proxy's token."""
    if os.environ.get("CI") != "true":
        pytest.importorskip("jupyter_server_proxy")
    jupyter = start_jupyter(f"--ServerApp.jpserver_extensions={EXTENSIONS}")
    port = httpx.URL(ollama_server.url).port
    return f"{jupyter.url.removesuffix('/ollama')}/proxy/{port}", jupyter.token


@pytest.fixture
def connection(proxied):
    return ollama_nb.connect(proxied[0], token=proxied[1])


def made_s(created_at: str) -> float:
    """Go's nanoseconds are more than Python reads."""
    moment = datetime.strptime(created_at[:26].rstrip("Z"), "%Y-%m-%dT%H:%M:%S.%f")
    return moment.replace(tzinfo=timezone.utc).timestamp()


def cancelled(server) -> int:
    return len(re.findall(r"generated, cancelled", server.log.read_text()))


def test_lines_come_as_they_are_made_and_stop_reaches_the_engine(
    ollama_server, connection, eventually
) -> None:
    before, came = cancelled(ollama_server), []
    request = Request("generate", "demo", {"prompt": "Write a story.", "options": ENDLESS})

    parts = request.parts(connection.http, known=connection.extensions)
    for part in parts:
        came.append((time.time(), made_s(part.message.created_at)))
        if came[-1][1] - came[0][1] > SPREAD_S:
            break
    parts.close()

    assert came[0][0] - came[0][1] < 1, "the first line, since it was made"
    assert came[0][0] < came[-1][1], "it came before the last one was made"
    eventually(lambda: cancelled(ollama_server) > before, "the engine's rest", 5)


@pytest.mark.parametrize("streamed", [True, False])
def test_rows_and_vectors_come_through(connection, streamed) -> None:
    request = Request("generate", "demo", {"prompt": "Hi", "options": {"num_predict": 5}})

    outcomes = ask_many([request], streamed=streamed)
    vectors = ollama_nb.embed(["a", "b"], model="demo")

    assert current() is connection
    assert outcomes.of[0].answer.stats.answer_tokens == 5
    assert len(vectors) == 2


def test_an_error_keeps_its_words(connection) -> None:
    with pytest.raises(ollama_nb.ModelNotFound, match="no model 'nobody'"):
        ollama_nb.generate("Hi", model="nobody")


def test_a_server_that_is_killed_behind_it_is_said(proxied, start_server, monkeypatch) -> None:
    """The proxy writes a sentence of its own behind what has come."""
    monkeypatch.setattr("ollama_nb.connection.resuming.TOTAL_S", 2.0)
    server = start_server()
    url = re.sub(r"\d+$", str(httpx.URL(server.url).port), proxied[0])
    ollama_nb.connect(url, token=proxied[1])

    class Killing(LiveCell):
        def update(self, text: str, thinking: str = "", waiting: str = "") -> None:
            if text:
                server.process.kill()

    request = Request("generate", "demo", {"prompt": "Write a story.", "options": ENDLESS})
    with pytest.raises(ServerWentAway, match="broke") as raised:
        ask(request, Killing("demo", lambda *_: 1))

    assert raised.value.answer.text
