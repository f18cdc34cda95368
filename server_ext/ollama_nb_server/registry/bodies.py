"""A transport of httpx for large answers: from the socket into a buffer, and so to the caller.

For requests without a body and without a proxy; connections are not kept. All else is httpx's.

Why it is not httpx's own too: that takes 64 KB at a time through httpcore, anyio and h11, copies
each, and every such piece costs a thread's attention when it is written to the disk. Measured with
`benchmarks/pull.py` on two busy cores, in turns (300 MB, medians of two runs): 1.4 and 1.5 s this
way; 2.5 and 2.9 s with httpx; 2.4 and 3.1 s with httpx and pieces gathered to 1 MiB, so it is not
the size of the pieces. What httpx has and this has not: kept connections, proxies (`Web` sends
proxied requests through httpx), and compression, which no registry may use for blobs. Heads and
bodies without an announced length are parsed by h11, as there.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, suppress
from typing import Any, cast

import h11
import httpx

HALF_BYTES = (
    64 * 1024
)  # two of these a connection, or what the request's extension `half_bytes` says
GATHER_S = 0.02  # many small pieces cost more than a short wait for half of a half
MAX_HEAD_BYTES = 100 * 1024
NEXT_ADDRESS_S = 0.25  # a host's next address is tried beside one that is silent (RFC 8305)


class BodyTransport(httpx.AsyncBaseTransport):
    """A connection for each request; a piece of an answer is valid until the next one comes."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self._tls = tls

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer as soon as the head is there."""
        timeouts = request.extensions.get("timeout", {})
        connection = await self._connected(request, timeouts.get("connect"))
        with ExitStack() as closing:
            closing.callback(connection.close)
            body = _Body(connection, timeouts.get("read"))
            head = await body.head(request)
            closing.pop_all()  # from here on the body closes it
        return httpx.Response(head.status_code, headers=head.headers.raw_items(), stream=body)

    async def _connected(self, request: httpx.Request, seconds: float | None) -> _Connection:
        try:
            return await asyncio.wait_for(self._raced(request), seconds)
        except asyncio.TimeoutError as error:
            raise httpx.ConnectTimeout("timed out", request=request) from error
        except OSError as error:
            raise httpx.ConnectError(str(error), request=request) from error

    async def _raced(self, request: httpx.Request) -> _Connection:
        """The first connection to any of a host's addresses.

        asyncio's own race (`happy_eyeballs_delay`) loses a socket where it is cancelled just when
        one has come about.
        """
        url, attempts = request.url, list[asyncio.Task[_Connection]]()
        port = url.port or (443 if url.scheme == "https" else 80)
        loop, kind = asyncio.get_running_loop(), socket.SOCK_STREAM
        addresses = deque(await loop.getaddrinfo(url.host, port, type=kind))
        opened = None
        try:
            while opened is None:
                if addresses:
                    opening = self._open(request, addresses.popleft()[4])
                    attempts.append(loop.create_task(opening))
                opened = await _first_of(attempts, NEXT_ADDRESS_S if addresses else None)
        finally:
            for attempt in attempts:
                if attempt is not opened:
                    attempt.cancel()
                    attempt.add_done_callback(_let_go)
        return opened.result()

    async def _open(self, request: httpx.Request, address: tuple[Any, ...]) -> _Connection:
        secure = request.url.scheme == "https"
        half_bytes = request.extensions.get("half_bytes", HALF_BYTES)
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: _Connection(half_bytes),
            *address[:2],
            ssl=self._tls if secure else None,
            server_hostname=request.url.host if secure else None,
        )
        return connection


async def _first_of(
    attempts: Sequence[asyncio.Task[_Connection]], seconds: float | None
) -> asyncio.Task[_Connection] | None:
    """The attempt that has succeeded; None if one failed, or none ended in time.

    Raises
    ------
    OSError
        If all have failed: the last one's.
    """
    pending = [attempt for attempt in attempts if not attempt.done()]
    if pending:
        await asyncio.wait(pending, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    ended = [attempt for attempt in attempts if attempt.done()]
    opened = next((attempt for attempt in ended if attempt.exception() is None), None)
    if opened is None and seconds is None and len(ended) == len(attempts):
        raise cast(BaseException, ended[-1].exception())
    return opened


def _let_go(attempt: asyncio.Task[_Connection]) -> None:
    """Close a connection that came about all the same."""
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().close()


class _Connection(asyncio.BufferedProtocol):
    """Two halves: one is read into while the other is in use."""

    _transport: asyncio.Transport

    def __init__(self, half_bytes: int) -> None:
        self._half_bytes = half_bytes
        self._halves = tuple(memoryview(bytearray(half_bytes)) for _ in range(2))
        self._current = self._filled = self._least = 0
        self._paused = self._ended = False
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._halves[self._current][self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        self._filled += nbytes
        if self._filled == self._half_bytes:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended, self._error = True, exc
        self._wake()

    def _wake(self) -> None:
        enough = self._ended or self._filled >= self._least
        if enough and self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _until(self, least: int, seconds: float | None) -> None:
        if self._filled >= least or self._ended:
            return
        self._least, self._waiter = least, asyncio.get_running_loop().create_future()
        await asyncio.wait_for(self._waiter, seconds)

    async def read(self, most: int, seconds: float | None) -> memoryview:
        """The next bytes, none at the end of the connection; valid until the next call."""
        try:
            await self._until(1, seconds)
        except asyncio.TimeoutError as error:
            raise httpx.ReadTimeout("timed out") from error
        with suppress(asyncio.TimeoutError):
            await self._until(min(most, self._half_bytes // 2), GATHER_S)
        if not self._filled and self._error is not None:
            raise httpx.ReadError(str(self._error)) from self._error
        got = self._halves[self._current][: self._filled]
        self._current, self._filled = 1 - self._current, 0
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
        return got

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    def close(self) -> None:
        self._transport.abort()


class _Body(httpx.AsyncByteStream):
    """An answer: h11 reads its head, and its body too where its length is not announced."""

    def __init__(self, connection: _Connection, seconds: float | None) -> None:
        self._connection, self._seconds = connection, seconds
        self._parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD_BYTES)
        self._length: int | None = None

    async def head(self, request: httpx.Request) -> h11.Response:
        """Send the request and wait for the head of its answer."""
        asked = h11.Request(
            method=request.method,
            target=request.url.raw_path,
            headers=request.headers.raw,
        )
        self._connection.write((self._parser.send(asked) or b"") + self._end())
        while not isinstance(event := await self._event(), h11.Response):
            pass  # 1xx
        fields = dict(event.headers)
        if b"transfer-encoding" not in fields and b"content-length" in fields:
            self._length = int(fields[b"content-length"])
        return event

    def _end(self) -> bytes:
        return self._parser.send(h11.EndOfMessage()) or b""

    async def _event(self) -> object:
        try:
            while (event := self._parser.next_event()) is h11.NEED_DATA:
                self._parser.receive_data(bytes(await self._connection.read(1, self._seconds)))
        except h11.RemoteProtocolError as error:
            raise httpx.RemoteProtocolError(str(error)) from error
        if event is h11.PAUSED or isinstance(event, h11.ConnectionClosed):
            raise httpx.RemoteProtocolError("the server ended the connection without an answer")
        return event

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while isinstance(event := await self._event(), h11.Data):
            yield bytes(event.data)
            if self._length is not None:
                break
        else:
            return
        assert self._length is not None
        left = self._length - len(event.data)
        while left > 0:
            piece = (await self._connection.read(left, self._seconds))[:left]
            if not piece:
                raise httpx.RemoteProtocolError("unexpected EOF")
            left -= len(piece)
            yield cast(bytes, piece)

    async def aclose(self) -> None:
        """Leave the connection, read to its end or not."""
        self._connection.close()
