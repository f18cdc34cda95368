"""Threads for what blocks on the disk: whoever reads never waits for those who write.

Another process may hold the store's lock for long; then all who want to change it wait, and with
one pool of threads for everything nobody could list or ask a model either. `create` and transfers
have threads of their own besides, since their steps take long.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

NUM_READERS, NUM_WRITERS = 16, 16


class Executors:
    """The threads of one server."""

    def __init__(self) -> None:
        self._readers = ThreadPoolExecutor(NUM_READERS, "readers")
        self._writers = ThreadPoolExecutor(NUM_WRITERS, "writers")

    async def read(self, function: Callable[..., T], *arguments: object) -> T:
        """Run what waits for the disk only, never for a lock."""
        return await self._run(self._readers, function, arguments)

    async def write(self, function: Callable[..., T], *arguments: object) -> T:
        """Run what changes something, and may wait until others have changed it."""
        return await self._run(self._writers, function, arguments)

    @staticmethod
    async def _run(
        executor: ThreadPoolExecutor, function: Callable[..., T], arguments: tuple[object, ...]
    ) -> T:
        return await asyncio.get_running_loop().run_in_executor(executor, function, *arguments)

    def close(self) -> None:
        """Drop what waits."""
        for executor in (self._readers, self._writers):
            executor.shutdown(wait=False, cancel_futures=True)
