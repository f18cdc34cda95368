"""Who is let in: while a server ends nobody new is, and nobody may have any number of requests."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field

RETRY_AFTER_S = 5  # for those who come while a server ends, or who have too much under way


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not let in, and with which status."""

    status: int
    sentence: str


@dataclass(slots=True)
class Gate:
    """The requests under way, by whom: `most` of one user at once (0: any number).

    Once it `is_closed` nobody is answered any more, but for the word that the server has ended.
    """

    most: int = 0
    is_closing: bool = False
    is_closed: bool = False
    _inside: dict[object, str] = field(default_factory=dict)
    _by_user: Counter[str] = field(default_factory=Counter)
    _empty: asyncio.Event = field(default_factory=asyncio.Event)

    def __len__(self) -> int:
        return len(self._inside)

    def enter(self, request: object, user: str, *, goes_on: bool = False) -> Refusal | None:
        """Let a request in, or say why not; one that `goes_on` with another is let in always."""
        if goes_on:
            self._count(request, user)
            return None
        if self.is_closing:
            return Refusal(503, "the server is about to end or to start anew: try again soon")
        if user and 0 < self.most <= self._by_user[user]:
            said = f"{self._by_user[user]} requests of yours are under way, which is the most: "
            return Refusal(429, said + "wait until one is done")
        self._count(request, user)
        return None

    def _count(self, request: object, user: str) -> None:
        self._inside[request] = user
        self._by_user[user] += 1

    def leave(self, request: object) -> None:
        """A request is over; to say so twice does no harm."""
        user = self._inside.pop(request, None)
        if user is not None:
            self._by_user[user] -= 1
            if not self._by_user[user]:
                del self._by_user[user]
        if not self._inside:
            self._empty.set()

    def close(self) -> None:
        """Let nobody in any more."""
        self.is_closing = True

    async def emptied(self) -> None:
        """Wait until all requests are over."""
        while self._inside:
            self._empty.clear()
            await self._empty.wait()
