"""The outbox at one end of a real connection."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
from ollama_nb_server.handlers.outbox import PIECE_BYTES, Outbox
from ollama_nb_server.wire.errors import ReadsTooSlowly
from tornado.iostream import IOStream, StreamClosedError

DOCUMENT = b"x" * 999 + b"\n"


class Ends:
    """Both ends of a connection whose own buffers are small."""

    def __init__(self, **limits: float) -> None:
        ours, self.theirs = socket.socketpair()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        self.theirs.setblocking(False)
        self.stream = IOStream(ours)
        self.outbox = Outbox(self.stream.write, self.stream.close, **limits)

    async def read(self) -> bytes:
        return await asyncio.get_running_loop().sock_recv(self.theirs, 1 << 20)

    async def read_all(self) -> bytes:
        pieces = []
        while piece := await self.read():
            pieces.append(piece)
        return b"".join(pieces)

    def close(self) -> None:
        self.outbox.close()
        self.theirs.close()
        self.stream.close()


@pytest.fixture
async def ends() -> AsyncIterator[Ends]:
    both = Ends(limit_bytes=100_000)
    yield both
    both.close()


async def test_all_arrives_in_order_however_slowly_it_is_read(ends: Ends) -> None:
    documents = [f"{number}\n".encode() * 500 for number in range(20)]
    for document in documents:
        ends.outbox.put(document)  # none of these waits for the reader
    reading = asyncio.create_task(ends.read_all())
    await ends.outbox.end(b"last")
    ends.stream.close()

    assert await reading == b"".join([*documents, b"last"])


def put_for_ever(outbox: Outbox) -> None:
    while True:
        outbox.put(DOCUMENT)


async def test_more_than_the_limit_is_refused_and_the_last_words_still_come(ends: Ends) -> None:
    with pytest.raises(ReadsTooSlowly):
        put_for_ever(ends.outbox)
    reading = asyncio.create_task(ends.read_all())
    await ends.outbox.end(b"error")
    ends.stream.close()

    data = await reading
    assert data.endswith(DOCUMENT + b"error")
    assert 100_000 < len(data) < 100_000 + 2 * PIECE_BYTES + (1 << 20)


async def test_one_document_may_be_larger_than_the_limit(ends: Ends) -> None:
    ends.outbox.put(b"y" * 300_000)

    with pytest.raises(ReadsTooSlowly):
        ends.outbox.put(DOCUMENT)


async def test_who_reads_nothing_for_long_is_dropped() -> None:
    both = Ends(timeout_s=0.01)
    both.outbox.put(b"z" * 3_000_000)
    with pytest.raises(StreamClosedError):
        await both.outbox.end()

    assert both.stream.closed()
    both.close()


async def test_a_connection_that_is_over_is_an_error(ends: Ends) -> None:
    ends.theirs.close()

    with pytest.raises(StreamClosedError):
        await ends.outbox.end(b"z" * 3_000_000)
