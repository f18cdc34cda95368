"""What users have uploaded and not yet made a model of: who has shown which bytes, and how many.

Kept in memory: after a restart a client uploads again. Blobs that became no model count against
their user for an hour, then they go. Sizes in bytes, times in seconds of one clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

KEPT_S = 3600.0


@dataclass(frozen=True, slots=True)
class Uploaded:
    """A whole blob, and when it came."""

    size: int
    since: float


@dataclass(slots=True)
class Running:
    """An upload that runs: what has come of it, and what of others that have ended meanwhile."""

    size: int = 0
    ended: int = 0


class Uploads:
    """Of all users; digests are hexadecimal. Use it on one event loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._whole: dict[str, dict[str, Uploaded]] = {}
        self._running: dict[str, dict[object, Running]] = {}

    def begin(self, user: str, upload: object) -> None:
        """Note an upload that begins, whose user has so much now as was said to have room for it.

        What comes from now on, of other uploads too, is beside that.
        """
        self._running.setdefault(user, {})[upload] = Running()

    def grow(self, user: str, upload: object, num_bytes: int) -> int:
        """Note bytes of an upload that runs; all that has come of the user's since it began."""
        running = self._running[user]
        running[upload].size += num_bytes
        return running[upload].ended + sum(each.size for each in running.values())

    def end(self, user: str, upload: object) -> None:
        """Forget an upload that runs, however it ended."""
        running = self._running.get(user, {})
        running.pop(upload, None)
        if not running:
            self._running.pop(user, None)

    def add(self, user: str, digest: str, size: int) -> None:
        """Note a blob that is whole, whose bytes the user has."""
        self._whole.setdefault(user, {})[digest] = Uploaded(size, self._clock())
        for each in self._running.get(user, {}).values():
            each.ended += size

    def of(self, user: str) -> dict[str, int]:
        """The blobs that a user has uploaded, and their sizes."""
        return {digest: one.size for digest, one in self._whole.get(user, {}).items()}

    def drop(self, user: str, digests: set[str]) -> None:
        """Forget blobs, since they are part of a model or gone."""
        kept = {d: one for d, one in self._whole.get(user, {}).items() if d not in digests}
        self._whole[user] = kept
        if not kept:
            del self._whole[user]

    def old(self, user: str) -> set[str]:
        """The blobs that have been there for longer than an hour."""
        before = self._clock() - KEPT_S
        return {d for d, one in self._whole.get(user, {}).items() if one.since < before}
