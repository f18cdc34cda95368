"""A stream whose connection was lost is gone on with, where the server has kept it for us.

Any other server ignores what we ask for, and a cut is an error there. What is known of a stream is
a `KnownStream`; around it there are the two ways to read, on an event loop and without.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from contextlib import aclosing, closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ollama_nb.connection.lines import ACCEPT, documents, documents_async
from ollama_nb.connection.patience import PAUSES_S, TOTAL_S, pause
from ollama_nb.connection.responses import raise_error

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Container, Generator, Mapping

    import httpx

CANCEL_ROUTE = "/api/cancel"  # of a server of ours
RESUME_HEADER, STREAM_HEADER = "X-Ollama-Nb-Resume", "X-Ollama-Nb-Stream"
CANCEL_TIMEOUT_S = 3.0
GONE = 404  # as every other caller finds it


def resumable(known: Container[str]) -> dict[str, str]:
    """Return the headers that have a stream kept for us; `known` are the server's extensions.

    We give it a name, so that it can be ended at any time: a server goes on with one that is kept.
    """
    name = {STREAM_HEADER: secrets.token_urlsafe(16)} if CANCEL_ROUTE in known else {}
    return {RESUME_HEADER: "1", **name}


@dataclass(slots=True)
class KnownStream:
    """How far a stream has come, and how it is gone on with; reads and waits for nothing.

    Attributes
    ----------
    call
        The arguments of httpx's `stream` for its next connection.
    """

    call: Mapping[str, Any]
    clock: Callable[[], float] = time.monotonic
    _id: str = ""  # as long as it is kept for us
    _count: int = 0
    _is_over: bool = False
    _since_s: float | None = None  # when nothing has come any more
    _cut: httpx.TransportError | None = field(default=None)

    @property
    def is_over(self) -> bool:
        """Whether its last document has come, or nobody keeps more."""
        return self._is_over

    def begun(self, response: httpx.Response) -> None:
        """Take in a response's head.

        Raises
        ------
        ollama.ResponseError
            If it is an error.
        httpx.TransportError
            If the server has lost the stream, or there is no way to it yet: how it was cut.
        """
        if self._cut is not None and response.is_error:
            is_ours = "json" in response.headers.get("Content-Type", "")
            if is_ours and response.status_code == GONE:
                self._id = ""
            if not self._id or not is_ours:  # a proxy has no way to it yet
                raise self._cut
        self._is_over = response.is_error
        raise_error(response)
        self._id = self._id or response.headers.get(STREAM_HEADER, "")

    def came(self, document: Any) -> None:
        """Take in a document."""
        self._count += 1
        self._since_s = None
        is_last = isinstance(document, dict) and (document.get("done") or "error" in document)
        self._is_over = bool(is_last)

    def cut(self, error: httpx.TransportError | None) -> float:
        """Return how long to wait before it is gone on with; `call` does so then.

        Parameters
        ----------
        error
            How the connection was lost; None if it ended like one that is over.

        Raises
        ------
        httpx.TransportError
            If it is not kept for us, or if nothing has come for `TOTAL_S` seconds.
        """
        import httpx

        self._cut = error or httpx.RemoteProtocolError("the stream ended before its last message")
        now = self.clock()
        self._since_s = now if self._since_s is None else self._since_s
        if not self._id or now - self._since_s > TOTAL_S:
            raise self._cut
        self.call = {
            "method": "GET",
            "url": f"/api/stream/{self._id}?from={self._count}",
            "headers": ACCEPT,
            "timeout": None,
        }
        return PAUSES_S[0]

    def garbled(self, error: ValueError) -> httpx.TransportError:
        """Return what a cut is told as whose end is no document.

        Behind one that is lost a proxy may write a sentence of its own, as jupyter-server-proxy
        does.

        Raises
        ------
        ValueError
            Of a stream that is not kept: it is whoever answers there.
        """
        import httpx

        if not self._id:
            raise error
        return httpx.RemoteProtocolError("a proxy has broken it off")

    def ended(self) -> None:
        """A connection has ended like one that is over; of a server that keeps nothing it is."""
        self._is_over = self._is_over or not self._id

    @property
    def cancelling(self) -> dict[str, Any] | None:
        """The arguments of httpx's `post` that end it at the server; None where it is over.

        It may be kept there though its head has not come to us yet: then by the name that we gave.
        """
        from ollama_nb.connection.clients import IMPATIENT

        id = self._id or self.call["headers"].get(STREAM_HEADER, "")
        if self._is_over or not id:
            return None
        url = f"/api/cancel/{id}"
        return {"url": url, "timeout": CANCEL_TIMEOUT_S, "extensions": IMPATIENT}


def whole_stream(http: httpx.Client, call: Mapping[str, Any]) -> Generator[Any, None, None]:
    """Yield the documents of a stream, over as many connections as it takes.

    Closing this stops the server.

    Raises
    ------
    ollama.ResponseError, httpx.TransportError, ValueError
        Meant for `translated`.
    """
    import httpx

    stream = KnownStream(call)
    try:
        while not stream.is_over:
            error: httpx.TransportError | None = None
            try:
                with closing(_one_connection(http, stream)) as some:
                    yield from some
                stream.ended()
            except httpx.TransportError as lost:
                error = lost
            except ValueError as odd:
                error = stream.garbled(odd)
            if not stream.is_over:
                pause.get()(stream.cut(error))
    finally:
        if cancelling := stream.cancelling:
            with contextlib.suppress(httpx.HTTPError):
                http.post(**cancelling)


def _one_connection(http: httpx.Client, stream: KnownStream) -> Generator[Any, None, None]:
    with http.stream(**stream.call) as response:
        if response.is_error:
            response.read()
        stream.begun(response)
        for document in documents(response):
            stream.came(document)
            yield document


async def whole_stream_async(
    http: httpx.AsyncClient, call: Mapping[str, Any]
) -> AsyncGenerator[Any, None]:
    """Yield the same on an event loop; cancelling stops the server too."""
    import httpx

    stream = KnownStream(call)
    try:
        while not stream.is_over:
            error: httpx.TransportError | None = None
            try:
                async with aclosing(_one_connection_async(http, stream)) as some:
                    async for document in some:
                        yield document
                stream.ended()
            except httpx.TransportError as lost:
                error = lost
            except ValueError as odd:
                error = stream.garbled(odd)
            if not stream.is_over:
                await asyncio.sleep(stream.cut(error))
    finally:
        if cancelling := stream.cancelling:
            with contextlib.suppress(httpx.HTTPError):
                await http.post(**cancelling)


async def _one_connection_async(
    http: httpx.AsyncClient, stream: KnownStream
) -> AsyncGenerator[Any, None]:
    async with http.stream(**stream.call) as response:
        if response.is_error:
            await response.aread()
        stream.begun(response)
        async for document in documents_async(response):
            stream.came(document)
            yield document
