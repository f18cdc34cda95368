"""Streams that outlive a lost connection: what was said is kept, and can be read from any place.

Only for clients that ask for it. A stream is its owner's: whoever else asks for it finds nothing.
"""

from __future__ import annotations

import asyncio
import math
import re
import secrets
from collections import deque
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field

LIMIT_BYTES = 2 << 20  # of one stream; what was said first goes first
MAX_STREAMS = 128  # of which those that are over go first
MAX_OF_ONE = 32  # under way, of one owner
NAME = re.compile(r"[A-Za-z0-9_-]{16,64}")  # that an owner may give one


@dataclass(frozen=True, slots=True)
class Document:
    """A document of a stream as it was said."""

    body: bytes

    def encode(self) -> bytes:
        """Its JSON."""
        return self.body


@dataclass(eq=False)
class KeptStream:
    """Documents in order, with whoever reads them; `cancel` ends what makes them."""

    owner: str
    cancel: Callable[[], None]
    forget: Callable[[KeptStream], None]
    tell_read: Callable[[], None]
    unread_s: float
    id: str
    is_over: bool = False
    is_read: bool = False  # to its end, by its owner
    interval_s: float = math.inf  # that it is silent at most, heartbeats included
    _documents: deque[bytes] = field(default_factory=deque)
    _num_dropped: int = 0
    _num_bytes: int = 0
    _num_readers: int = 1
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _alarm: asyncio.TimerHandle | None = None

    def put(self, document: bytes) -> None:
        """Keep a document, in place of the oldest where there is no room."""
        self._documents.append(document)
        self._num_bytes += len(document)
        while self._num_bytes > LIMIT_BYTES and len(self._documents) > 1:
            self._num_bytes -= len(self._documents.popleft())
            self._num_dropped += 1
        self._tell()

    def end(self) -> None:
        """Nothing more will be said; it can be read for a while."""
        self.is_over = True
        self._tell()
        self._wind()

    def was_read(self) -> None:
        """Its owner has all of it."""
        self.is_read = True
        self.tell_read()

    @property
    def is_awaited(self) -> bool:
        """Whether its owner has lost the connection and has not all of it."""
        return self._num_readers <= 0 and not self.is_read

    def left(self) -> None:
        """A reader is gone: nobody else comes for a while, and it ends."""
        self._num_readers -= 1
        self._wind()

    def has(self, place: int) -> bool:
        """Whether it can be read from there on."""
        return self._num_dropped <= place <= self._num_dropped + len(self._documents)

    async def read(self, place: int) -> AsyncGenerator[Document, None]:
        """What was said behind so many documents, and what is said from now on."""
        self._num_readers += 1
        try:
            while True:
                news = self._news
                while self.has(place) and place < self._num_dropped + len(self._documents):
                    yield Document(self._documents[place - self._num_dropped])
                    place += 1
                if self.is_over:
                    self.was_read()
                    return
                if not self.has(place):
                    return
                await news.wait()
        finally:
            self.left()

    def close(self) -> None:
        """Let go of it."""
        if self._alarm is not None:
            self._alarm.cancel()
        self.forget(self)

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    def _wind(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        if self.is_over or self._num_readers <= 0:
            self._alarm = asyncio.get_running_loop().call_later(self.unread_s, self._ring)

    def _ring(self) -> None:
        if self._num_readers > 0 and not self.is_over:
            return
        if not self.is_over:
            self.cancel()
        self.close()


class KeptStreams:
    """All of a server, by their ids."""

    def __init__(self) -> None:
        self._streams: dict[tuple[str, str], KeptStream] = {}  # by owner and id
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._streams)

    def open(
        self, owner: str, cancel: Callable[[], None], unread_s: float, name: str = ""
    ) -> KeptStream | None:
        """Begin to keep a stream; None where there are too many: it is like any other then.

        Its id is the `name` that the owner has given it, where that is one and new.
        """
        own = sum(s.owner == owner and not s.is_over for s in self._streams.values())
        if own >= MAX_OF_ONE:
            return None
        id = name if NAME.fullmatch(name) else secrets.token_urlsafe(16)
        if (owner, id) in self._streams:
            return None
        if len(self._streams) >= MAX_STREAMS:
            over = next((each for each in self._streams.values() if each.is_over), None)
            if over is None:
                return None
            over.close()
        stream = KeptStream(owner, cancel, self._forget, self._changed.set, unread_s, id)
        self._streams[owner, id] = stream
        return stream

    def find(self, id: str, owner: str) -> KeptStream | None:
        """A stream of this owner."""
        return self._streams.get((owner, id))

    def _forget(self, stream: KeptStream) -> None:
        self._streams.pop((stream.owner, stream.id), None)
        self._changed.set()

    @property
    def num_awaited(self) -> int:
        """How many have an owner who may come back for the rest."""
        return sum(stream.is_awaited for stream in self._streams.values())

    async def settled(self) -> None:
        """Wait until every owner has come back and has all, or comes no more."""
        while any(not stream.is_read for stream in self._streams.values()):
            self._changed.clear()
            await self._changed.wait()
