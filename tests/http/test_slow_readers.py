"""A client that reads slowly, or nothing at all, harms nobody, and gets what is said to it."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import httpx
import pytest
from ollama_nb_server.environment import Settings
from ollama_nb_server.handlers.access import Open, Policy
from ollama_nb_server.handlers.base import ApiHandler, Route
from ollama_nb_server.handlers.body_memory import BodyMemory
from tornado import httpserver, netutil, web

PROMPT = "Write a story about a fox."
# Each token is told with its alternatives: about 2 kB, so that a system's own buffers fill up.
WORDY = {"logprobs": True, "top_logprobs": 20}
LINES = 'root ::= ([a-z ]{0,50} "\\n")+ "END"'  # an end that no model comes to by itself
LONG = {"temperature": 0, "num_predict": 1800, "grammar": LINES}


@contextmanager
def not_reading(url: str, **fields: object) -> Iterator[socket.socket]:
    """A client that has asked and reads nothing; it takes as little as a system allows."""
    body = {"model": "demo", "prompt": PROMPT, "options": LONG, **WORDY, **fields}
    content = json.dumps(body).encode()
    target = httpx.URL(url)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(60)
        client.connect((target.host, target.port))
        head = f"POST /api/generate HTTP/1.0\r\nHost: {target.host}\r\n"
        head += f"Content-Length: {len(content)}\r\nConnection: close\r\n\r\n"
        client.sendall(head.encode() + content)
        yield client


def everything(client: socket.socket) -> list[dict]:
    """The lines of the answer, read to its end; HTTP/1.0 has no chunks."""
    data = b"".join(iter(lambda: client.recv(1 << 20), b""))
    return [json.loads(line) for line in data.splitlines() if line.startswith(b"{")]


def ask(client: httpx.Client, **options: object) -> dict:
    body = {"model": "demo", "prompt": PROMPT, "stream": False}
    answer = client.post("/api/generate", json=body | {"options": {"num_predict": 8} | options})
    return answer.raise_for_status().json()


@pytest.fixture
def reloading(start_server: Callable[..., object]) -> object:
    """A server where a request with another num_batch waits until nobody uses the model."""
    return start_server(OLLAMA_NB_RELOAD_ON_REQUEST="1")


def test_a_reader_that_reads_nothing_keeps_no_model_from_others(reloading, eventually) -> None:
    with reloading.client() as other, not_reading(reloading.url) as client:
        eventually(lambda: "loading" in reloading.log.read_text(), "the load")
        assert ask(other, num_batch=64)["done"]
        told = everything(client)

    assert told[-1]["done"]
    assert told[-1]["eval_count"] == 1800
    assert len("".join(line["response"] for line in told)) > 1800


MANY = [json.dumps({"response": "x" * 60_000}).encode()] * 400  # 24 MB
LARGE = [json.dumps({"response": "x" * 24_000_000}).encode()]


class Document:
    def __init__(self, body: bytes) -> None:
        self.encode = lambda: body


async def streamed(handler: ApiHandler) -> None:
    """A verb that says all it has at once, and then that it is done."""

    async def answers() -> AsyncIterator[Document]:
        for body in handler.settings["documents"]:
            yield Document(body)

    try:
        await handler.answer(answers())
    finally:
        handler.settings["ended"].set()


@contextmanager
def serving(documents: list[bytes], **settings: float) -> Iterator[tuple[int, asyncio.Event]]:
    """The handlers of a server with that verb; its port, and the end of the verb."""
    kind, ended = type("Api", (ApiHandler, Open), {}), asyncio.Event()

    async def context() -> object:
        return SimpleNamespace(settings=Settings(**settings))

    route = Route("/", "generate", {"GET": streamed})
    more = {"route": route, "app": context, "bodies": BodyMemory(), "prefix": ""}
    app = web.Application([("/", kind, more)], policy=Policy(), ended=ended, documents=documents)
    (listener,) = netutil.bind_sockets(0, "127.0.0.1")
    server = httpserver.HTTPServer(app)
    server.add_sockets([listener])
    yield listener.getsockname()[1], ended
    server.stop()


async def test_a_reader_that_is_too_slow_gets_what_is_kept_and_a_clear_error() -> None:
    with serving(MANY) as (port, ended):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 16)
        writer.write(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")
        body = await asyncio.wait_for(reader.read(), 30)
        await ended.wait()
        writer.close()

    *told, last = [json.loads(line) for line in body.splitlines() if line.startswith(b"{")]
    assert "reads too slowly: 4 MiB of the answer" in last["error"]
    assert 60 < len(told) < len(MANY)


async def test_a_reader_that_reads_nothing_for_long_is_dropped(caplog) -> None:
    with serving(LARGE, send_timeout_s=0.05) as (port, ended):
        _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 16)
        writer.write(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")
        await asyncio.wait_for(ended.wait(), 30)
        writer.close()

    assert "the client read nothing for 0.05 s" in caplog.text
