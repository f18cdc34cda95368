"""Streams that are kept: bounded in bytes and number, and gone when nobody comes for them."""

from __future__ import annotations

import asyncio

import pytest
from ollama_nb_server.answering.kept_streams import (
    LIMIT_BYTES,
    MAX_OF_ONE,
    MAX_STREAMS,
    KeptStream,
    KeptStreams,
)

LONG_S = 1000.0


def opened(all: KeptStreams, owner: str = "ana", unread_s: float = LONG_S) -> KeptStream | None:
    return all.open(owner, lambda: None, unread_s)


async def test_what_was_said_first_goes_first() -> None:
    stream = opened(KeptStreams())
    for number in range(5):
        stream.put(bytes([number]) * (LIMIT_BYTES // 3))
    stream.end()

    assert [stream.has(place) for place in (0, 1, 2, 5, 6)] == [False, False, True, True, False]
    read = [document.encode()[0] async for document in stream.read(2)]
    stream.close()
    assert read == [2, 3, 4]


async def test_one_owner_leaves_room_for_others() -> None:
    all = KeptStreams()
    mine = [opened(all) for _ in range(MAX_OF_ONE + 1)]

    assert mine[-1] is None
    assert None not in mine[:-1]
    assert opened(all, "ben") is not None


async def test_an_owner_may_give_it_a_name_once() -> None:
    all, name = KeptStreams(), "the-name-of-ana-0"

    stream = all.open("ana", lambda: None, LONG_S, name)

    assert stream is not None
    assert stream.id == name
    assert all.open("ana", lambda: None, LONG_S, name) is None
    assert all.find(name, "ben") is None
    other = all.open("ben", lambda: None, LONG_S, name)
    assert all.find(name, "ben") is other
    assert all.find(name, "ana") is stream


@pytest.mark.parametrize("name", ["short", "x" * 65, "a name with blanks", "../../api/cancel/x"])
async def test_what_is_no_name_is_none(name) -> None:
    stream = KeptStreams().open("ana", lambda: None, LONG_S, name)

    assert stream is not None
    assert stream.id != name


async def test_those_that_are_over_make_room() -> None:
    all = KeptStreams()
    streams = [opened(all, str(number)) for number in range(MAX_STREAMS)]
    full = opened(all, "late")
    streams[5].end()

    late = opened(all, "late")

    assert full is None
    assert late is not None
    assert all.find(streams[5].id, "5") is None
    assert len(all) == MAX_STREAMS


async def test_it_ends_when_nobody_has_come_for_long() -> None:
    all, cancelled = KeptStreams(), asyncio.Event()
    stream = all.open("ana", cancelled.set, 0.05)
    stream.left()

    await asyncio.wait_for(cancelled.wait(), 10)

    assert len(all) == 0
    assert all.find(stream.id, "ana") is None


async def test_they_are_settled_when_all_owners_have_all_or_come_no_more() -> None:
    all = KeptStreams()
    lost, left, here = opened(all), all.open("ana", lambda: None, 0.05), opened(all, "ben")
    lost.left()
    left.left()
    settled = asyncio.ensure_future(all.settled())
    assert all.num_awaited == 2

    here.end()
    here.was_read()
    lost.put(b"1")
    lost.end()
    await asyncio.sleep(0)
    assert not settled.done()

    assert [document.encode() async for document in lost.read(0)] == [b"1"]
    await asyncio.wait_for(settled, 10)  # and the other has gone by itself
    assert all.num_awaited == 0


async def test_a_reader_keeps_it() -> None:
    all, cancelled = KeptStreams(), asyncio.Event()
    stream = all.open("ana", cancelled.set, 0.05)
    stream.put(b"1")
    reader = stream.read(0)
    assert (await anext(reader)).encode() == b"1"
    stream.left()

    await asyncio.sleep(0.2)
    assert not cancelled.is_set()
    await reader.aclose()
    await asyncio.wait_for(cancelled.wait(), 10)
