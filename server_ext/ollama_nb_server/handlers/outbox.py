"""What is on its way to one client: who makes an answer never waits for who reads it.

The work for a client, a model's above all, ends when it is done and not when it has been read. What
the client has not read waits here, within bounds of bytes and of time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ollama_nb_server.wire.errors import ReadsTooSlowly

LIMIT_BYTES = 4 << 20  # more than any answer without logprobs has
PIECE_BYTES = 1 << 16  # written at once, so that a slow reader is told from one that reads nothing


class Outbox:
    """Bytes in order, written as fast as the client takes them.

    Parameters
    ----------
    write
        Writes to the connection; its future is done when the system has taken the bytes.
    drop
        Ends the connection to a client that has taken nothing for `timeout_s` seconds.
    """

    def __init__(
        self,
        write: Callable[[bytes], asyncio.Future[None]],
        drop: Callable[[], None],
        *,
        timeout_s: float = 300.0,
        limit_bytes: int = LIMIT_BYTES,
    ) -> None:
        self._write, self._drop = write, drop
        self.timeout_s, self.limit_bytes = timeout_s, limit_bytes
        self._waiting = bytearray()
        self._sending: asyncio.Future[None] | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._idle = asyncio.Event()
        self._idle.set()

    def put(self, document: bytes) -> None:
        """Send a document, or keep it until the client has read what comes before it.

        Raises
        ------
        ReadsTooSlowly
            If more than `limit_bytes` would wait.
        StreamClosedError
            If the connection is over.
        """
        if self._waiting and len(self._waiting) + len(document) > self.limit_bytes:
            raise ReadsTooSlowly(self.limit_bytes)
        self._add(document)

    async def end(self, document: bytes = b"") -> None:
        """Send a last document, whatever waits before it; return when all has been sent."""
        self._add(document)
        await self._idle.wait()
        self._check()

    def close(self) -> None:
        """Forget what has not been sent."""
        self._waiting.clear()
        if self._alarm is not None:
            self._alarm.cancel()

    def _add(self, document: bytes) -> None:
        if self._idle.is_set() and 0 < len(document) <= PIECE_BYTES:  # as a token's mostly is
            self._taken(document)
            self._check()
            return
        self._waiting += document
        if self._idle.is_set():
            self._send()
            self._check()

    def _send(self) -> None:
        """Write until the system takes no more, or nothing waits."""
        while self._waiting:
            piece = bytes(self._waiting[:PIECE_BYTES])
            del self._waiting[:PIECE_BYTES]
            if not self._taken(piece):
                return
        self._idle.set()

    def _taken(self, piece: bytes) -> bool:
        """Write a piece; whether the system has taken it, and the connection is not over."""
        self._sending = self._write(piece)
        if self._sending.done():
            if self._sending.exception() is None:
                return True
            self._idle.set()  # nobody will take what waits
            return False
        self._idle.clear()
        self._alarm = asyncio.get_running_loop().call_later(self.timeout_s, self._drop)
        self._sending.add_done_callback(self._sent)
        return False

    def _sent(self, sent: asyncio.Future[None]) -> None:
        """The system has taken a piece, or the connection is over."""
        if self._alarm is not None:
            self._alarm.cancel()
        if sent.exception() is not None:
            self._idle.set()
        else:
            self._send()

    def _check(self) -> None:
        if self._sending is not None and self._sending.done():
            self._sending.result()
