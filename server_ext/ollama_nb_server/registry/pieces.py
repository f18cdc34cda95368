"""From an answer to a range request to the bytes that were asked for, whatever the server sends."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import httpx

from ollama_nb_server.registry.errors import UnexpectedAnswer

RANGE = re.compile(r"bytes (\d+)-")


async def pieces(response: httpx.Response, start: int, most: int) -> AsyncIterator[memoryview]:
    """At most `most` bytes from `start` on; each piece is valid until the next one.

    Raises
    ------
    UnexpectedAnswer
        If the answer is neither that piece nor the whole blob.
    """
    skip, left = _before(response, start), most
    async for data in response.aiter_raw():
        piece = memoryview(data)[skip:]
        skip -= len(data) - len(piece)
        piece = piece[:left]
        left -= len(piece)
        if piece:
            yield piece
        if not left:
            return


def _before(response: httpx.Response, start: int) -> int:
    """How many bytes the server sends that we have already: all, where it knows no ranges."""
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise UnexpectedAnswer("the registry compresses blobs, though it was asked not to")
    if response.status_code == 200:
        return start
    if response.status_code != 206:
        raise UnexpectedAnswer(f"unexpected status code {response.status_code}")
    found = RANGE.match(response.headers.get("Content-Range", ""))
    if found is not None and int(found[1]) != start:
        raise UnexpectedAnswer(f"asked for bytes from {start} on, got them from {found[1]} on")
    return 0
