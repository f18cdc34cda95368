"""The documents of a streamed answer, one a line; a server may also send them as events.

Lines end at line feeds alone. httpx's own reader ends them also where Python's `splitlines` does,
at U+2028 or U+0085 inside a text, which JSON allows and a real Ollama may send.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ollama_nb.connection.silence import ending_in_silence

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    import httpx

# Proxies hold a stream of lines back until it is over, but not one of events; Ollama sends lines.
# jupyter-server-proxy takes nothing but exactly this for a wish for events; whatever is not wished
# for so it gives up after 20 s, one answer in JSON too.
ACCEPT = {"Accept": "text/event-stream"}


@dataclass(slots=True)
class LineSplitter:
    """Cuts bytes that come in pieces into lines."""

    _begun: list[bytes] = field(default_factory=list)

    def feed(self, piece: bytes) -> list[bytes]:
        """Return the lines that this piece ends."""
        first, *rest = piece.split(b"\n")
        self._begun.append(first)
        if not rest:
            return []
        *whole, begun = [b"".join(self._begun), *rest]
        self._begun = [begun]
        return whole

    def end(self) -> list[bytes]:
        """Return what is left: a last line without an end."""
        return [b"".join(self._begun)]


def documents(response: httpx.Response) -> Iterator[Any]:
    """Yield what the lines of a response hold.

    Raises
    ------
    httpx.ReadTimeout
        If the server is silent for so long that it must be gone.
    ValueError
        If a line is no JSON.
    """
    splitter = LineSplitter()
    with ending_in_silence(response):
        for piece in response.iter_bytes():
            yield from _parsed(splitter.feed(piece))
    yield from _parsed(splitter.end())


async def documents_async(response: httpx.Response) -> AsyncIterator[Any]:
    """Yield the same on an event loop."""
    splitter = LineSplitter()
    with ending_in_silence(response):
        async for piece in response.aiter_bytes():
            for document in _parsed(splitter.feed(piece)):
                yield document
    for document in _parsed(splitter.end()):
        yield document


def _parsed(lines: list[bytes]) -> Iterator[Any]:
    for line in lines:
        text = line.removeprefix(b"data:").strip()
        if text and not text.startswith(b":"):  # which is a comment among events
            yield json.loads(text)
