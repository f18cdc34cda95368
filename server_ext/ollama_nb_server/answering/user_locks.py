"""A lock for each user: what is large is made for one request of theirs at a time."""

from __future__ import annotations

import asyncio
from weakref import WeakValueDictionary


class UserLocks:
    """The locks that somebody has or waits for, by user; others are forgotten."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def of(self, user: str) -> asyncio.Lock:
        """The lock of a user, the same as long as anybody holds on to it."""
        return self._locks.setdefault(user, asyncio.Lock())
