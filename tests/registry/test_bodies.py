"""The transport for large answers does what httpx's own does, where a pull needs it."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import httpx
import pytest
from far import QUICK, Far
from ollama_nb_server.registry.bodies import BodyTransport


@pytest.fixture
def silent(far: Far) -> Iterator[str]:
    """An address of this machine where nobody answers at the registry's port: its queue is full."""
    with ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.2", far.port))
        listening.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.2", far.port))
        yield "127.0.0.2"


async def test_an_address_that_is_silent_does_not_hold_up_the_next_one(
    far: Far, make_here, silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a host whose IPv6 leads nowhere."""
    here = make_here(limits=replace(QUICK, connect_s=5.0, tries=1))
    far.elsewhere = "blobs.example"
    known = asyncio.BaseEventLoop.getaddrinfo

    async def resolved(self: Any, host: Any, port: Any, **more: Any) -> Any:
        if host != far.elsewhere:
            return await known(self, host, port, **more)
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in (silent, "127.0.0.1")
        ]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", resolved)

    assert (await here.pulled(far.publish(b"w")))[-1].status == "success"


async def test_a_connection_that_comes_about_while_it_is_given_up_is_closed() -> None:
    """Given up at every moment: a socket that is left open is an error of its own (ResourceWarning)."""
    transport = BodyTransport(httpx.create_ssl_context())
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listening:
        request = httpx.Request("GET", f"http://127.0.0.1:{listening.getsockname()[1]}/")
        for num_turns in range(150):
            connecting = asyncio.ensure_future(transport._connected(request, 5.0))
            for _ in range(num_turns):
                await asyncio.sleep(0)
            connecting.cancel()
            (outcome,) = await asyncio.gather(connecting, return_exceptions=True)
            if not isinstance(outcome, BaseException):
                outcome.close()
            await asyncio.sleep(0.001)
        gc.collect()
