"""The transport for large answers does what httpx's own does, where a pull needs it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest
from far import QUICK, Far


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
