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
from ollama_nb_server.scheduling.errors import QueueFull


class RunQueue:
    """`capacity` turns at a time; the more urgent come first, then first come.

    No more than `max_waiting` wait for theirs (None: any number).
    """

    def __init__(self, capacity: int, max_waiting: int | None = None) -> None:
        self._capacity = self._num_free = capacity
        self._max_waiting = max_waiting
        self._waiting: list[tuple[Priority, int, int, asyncio.Future[None]]] = []
        self._arrivals = itertools.count()

    @property
    def num_running(self) -> int:
        """Who has a turn now."""
        return self._capacity - self._num_free

    @property
    def num_waiting(self) -> int:
        """Who waits for one."""
        return sum(not future.done() for *_, future in self._waiting)

    @asynccontextmanager
    async def turn(self, priority: Priority, ticket: int = 0) -> AsyncIterator[None]:
        """Wait for a turn, and keep it until the block is left. `place` knows the ticket.

        Raises
        ------
        QueueFull
            If too many wait already.
        """
        await self._come(priority, ticket)
        try:
            yield
        finally:
            self._go()

    def place(self, ticket: int) -> int | None:
        """The place of one that waits for its turn, 1 is next; None if it does not."""
        waiting = [ticket for _, _, ticket, future in sorted(self._waiting) if not future.done()]
        return waiting.index(ticket) + 1 if ticket in waiting else None

    async def _come(self, priority: Priority, ticket: int) -> None:
        if self._num_free:  # then nobody waits
            self._num_free -= 1
            return
        if self._max_waiting is not None and self.num_waiting >= self._max_waiting:
            raise QueueFull(self._max_waiting, "its turn")
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (priority, next(self._arrivals), ticket, future))
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
