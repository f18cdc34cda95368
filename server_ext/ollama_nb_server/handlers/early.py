"""Answers that wait for no body: who is refused hears so when the head has come.

What such a client still sends is read and dropped for a moment, or it would find the connection
closed before it has read why.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

from tornado import web

MAX_BYTES = 1 << 44  # of a body that is counted here, not by Tornado
LINGER_S, LINGER_BYTES = 2.0, 1 << 18  # how long a body goes on that nobody wants
SILENT_S = 120.0  # within a body


@web.stream_request_body
class EarlyAnswer(web.RequestHandler):
    """A handler that may answer at any time; `take` gets the pieces of a body that is wanted."""

    linger_s, linger_bytes = LINGER_S, LINGER_BYTES
    _dropped = 0
    _last_piece_s = 0.0
    _is_answered = False  # before its body is here
    _leaving: asyncio.TimerHandle | None = None
    _silence: asyncio.TimerHandle | None = None

    @property
    def announced_bytes(self) -> int | None:
        """How long the body is; None if its head does not say so."""
        if "Transfer-Encoding" in self.request.headers:
            return None
        said = self.request.headers.get("Content-Length", "0")
        return int(said) if said.isascii() and said.isdigit() else None  # Tornado refuses others

    def accept_body(self) -> None:
        """Have the body come, of whatever length; somebody who stops in it for long has left."""
        self.request.connection.set_max_body_size(MAX_BYTES)  # type: ignore[union-attr]
        loop = asyncio.get_running_loop()
        self._last_piece_s = loop.time()
        self._silence = loop.call_later(SILENT_S, self._look)

    def take(self, chunk: bytes) -> Awaitable[None] | None:
        """Get a piece of a body that was accepted."""
        raise NotImplementedError

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        """Hand on a piece, or drop one of a request that is answered."""
        if not self._finished:
            self._last_piece_s = asyncio.get_running_loop().time()
            return self.take(chunk)
        self._dropped += len(chunk)
        if self._dropped > self.linger_bytes:
            self._leave()
        return None

    def finish(self, chunk: str | bytes | dict[Any, Any] | None = None) -> asyncio.Future[None]:
        """Answer at once; the connection lives on if the rest of the body comes soon."""
        coming = self.request._body_future
        if self._finished or self._headers_written or coming.done():
            return web.RequestHandler.finish(self, chunk)
        if chunk is not None:
            self.write(chunk)
        announced = self.announced_bytes
        if announced is None or announced > self.linger_bytes:
            self.set_header("Connection", "close")
        if self.get_status() not in (204, 304):
            self.set_header("Content-Length", sum(map(len, self._write_buffer)))
        self.request.connection.set_max_body_size(MAX_BYTES)  # type: ignore[union-attr]
        sent = self.flush()
        self._finished = self._is_answered = True
        coming.add_done_callback(lambda _: self._leave())
        self._leaving = asyncio.get_running_loop().call_later(self.linger_s, self._leave)
        return sent

    def on_finish(self) -> None:
        """Let go of the clocks."""
        self._stop_clocks()
        super().on_finish()

    def on_connection_close(self) -> None:
        """Nobody is there to be waited for; who has left with an answer is logged like others."""
        if self._is_answered:
            self._is_answered = False
            self._log()
        self._stop_clocks()
        super().on_connection_close()

    def _leave(self) -> None:
        """End a request that was answered early: Tornado closes what it has not read."""
        if self._is_answered:
            self._is_answered = self._finished = False
            web.RequestHandler.finish(self)

    def _look(self) -> None:
        """End a request whose body has stopped coming."""
        if self._finished or self.request._body_future.done():
            return
        loop = asyncio.get_running_loop()
        left_s = self._last_piece_s + SILENT_S - loop.time()
        if left_s > 0:
            self._silence = loop.call_later(left_s, self._look)
        else:
            error = web.HTTPError(408, f"nothing of the body came for {SILENT_S:g} s")
            self.send_error(408, exc_info=(type(error), error, None))

    def _stop_clocks(self) -> None:
        for clock in (self._leaving, self._silence):
            if clock is not None:
                clock.cancel()
