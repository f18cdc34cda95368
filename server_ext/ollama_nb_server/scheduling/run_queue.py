"""The right to run: a model computes for so many requests at once, all others wait for their turn.

A lease is something else: it pins a worker, which may be asked to tokenise meanwhile.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ollama_nb_server.engine.messages import Priority


class RunQueue:
    """`capacity` turns at a time; the more urgent come first, then first come."""

    def __init__(self, capacity: int) -> None:
        self._num_free = capacity
        self._waiting: list[tuple[Priority, int, asyncio.Future[None]]] = []
        self._arrivals = itertools.count()

    @asynccontextmanager
    async def turn(self, priority: Priority) -> AsyncIterator[None]:
        """Wait for a turn, and keep it until the block is left."""
        await self._come(priority)
        try:
            yield
        finally:
            self._go()

    async def _come(self, priority: Priority) -> None:
        if self._num_free:  # then nobody waits
            self._num_free -= 1
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (priority, next(self._arrivals), future))
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():  # the turn came at that very moment
                self._go()
            raise

    def _go(self) -> None:
        while self._waiting:
            *_, future = heapq.heappop(self._waiting)
            if not future.done():  # who left while waiting has cancelled it
                future.set_result(None)
                return
        self._num_free += 1
