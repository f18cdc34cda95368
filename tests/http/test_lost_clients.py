"""Clients that leave before they are served: nothing is loaded, granted or computed for them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from contextlib import suppress

import httpx
from ollama_nb_server.environment import Settings
from ollama_nb_server.handlers.access import Open, Policy
from ollama_nb_server.handlers.base import ApiHandler, Route
from ollama_nb_server.handlers.body_memory import BodyMemory
from tornado import httpserver, netutil, web

BODY = json.dumps({"model": "demo", "prompt": "Once", "raw": True}).encode()


def asked(url: str) -> socket.socket:
    """A client that has sent a request and reads nothing."""
    target = httpx.URL(url)
    client = socket.create_connection((target.host, target.port))
    head = f"POST /api/generate HTTP/1.1\r\nHost: {target.host}\r\n"
    client.sendall(f"{head}Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY)
    return client


def test_a_client_that_leaves_during_a_load_is_not_granted_its_model(
    start_server, eventually
) -> None:
    server = start_server(OLLAMA_DEBUG="1")
    client = asked(server.url)
    (worker,) = eventually(server.workers, "a worker that loads")
    os.kill(worker.pid, signal.SIGSTOP)  # the load lasts until we have left
    client.close()

    eventually(lambda: "nobody waits for it any more" in server.log.read_text(), "the break")
    with suppress(ProcessLookupError):  # killed already: it did not obey while it was stopped
        os.kill(worker.pid, signal.SIGCONT)
    eventually(lambda: not server.workers(), "the end of the load")
    with server.client() as other:
        assert other.get("/api/ps").json() == {"models": []}


async def test_a_client_that_left_while_it_was_authorised_is_not_served_for_long() -> None:
    entered, left, served = asyncio.Event(), asyncio.Event(), []

    class Slow(Open):
        async def prepare(self) -> None:
            entered.set()
            await left.wait()

    async def verb(handler: ApiHandler) -> None:
        served.append("begun")
        await asyncio.sleep(60)
        served.append("done")

    async def context() -> object:
        return Settings()

    kind, ended = type("Api", (ApiHandler, Slow), {}), asyncio.Event()
    more = {"route": Route("/", "generate", {"GET": verb}), "app": context, "prefix": ""}
    routes = [("/", kind, more | {"bodies": BodyMemory()})]
    app = web.Application(routes, policy=Policy(), log_function=lambda _: ended.set())
    (listener,) = netutil.bind_sockets(0, "127.0.0.1")
    server = httpserver.HTTPServer(app)
    server.add_sockets([listener])
    _, writer = await asyncio.open_connection("127.0.0.1", listener.getsockname()[1])
    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await entered.wait()
    writer.close()
    await writer.wait_closed()
    left.set()
    await asyncio.wait_for(ended.wait(), 10)
    server.stop()

    assert "done" not in served
