"""Heartbeats: a stream that has nothing to say for a while says that it is alive.

Proxies cut a connection on which nothing comes for a minute, and a request may wait that long for
its place, its model or its prompt. A heartbeat is a message of the stream's own shape without text.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, suppress
from typing import Generic, TypeVar

T = TypeVar("T")


async def with_heartbeats(
    answers: AsyncGenerator[T, None], make: Callable[[], T], interval_s: float
) -> AsyncIterator[T]:
    """The answers, and one that is made wherever none comes for so many seconds.

    Leaving this closes `answers`; what it raises is raised here, after the answers before.
    """
    stream = _Pumped(answers)
    try:
        while True:
            while stream.arrived:
                yield stream.arrived.popleft()
            if stream.is_over():
                return
            if not await stream.news(interval_s):
                yield make()
    finally:
        await stream.close()


class _Pumped(Generic[T]):
    """Takes answers in a task of its own: waiting for one with a limit would cancel the work."""

    def __init__(self, answers: AsyncGenerator[T, None]) -> None:
        self.arrived: deque[T] = deque()
        self._waiting: asyncio.Future[bool] | None = None
        self._task = asyncio.get_running_loop().create_task(self._pump(answers))
        self._task.add_done_callback(lambda _: self._notify(True))

    async def _pump(self, answers: AsyncGenerator[T, None]) -> None:
        async with aclosing(answers):
            async for answer in answers:
                self.arrived.append(answer)
                self._notify(True)

    def is_over(self) -> bool:
        """Whether nothing more comes; raises what the answers ended with."""
        if self._task.done():
            self._task.result()
        return self._task.done()

    async def news(self, limit_s: float) -> bool:
        """Wait until there is something new, or for so long."""
        loop = asyncio.get_running_loop()
        self._waiting = loop.create_future()
        alarm = loop.call_later(limit_s, self._notify, False)
        try:
            return await self._waiting
        finally:
            alarm.cancel()
            self._waiting = None

    def _notify(self, news: bool) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(news)

    async def close(self) -> None:
        """End the task, and with it the work, before anybody goes on."""
        self._task.cancel()
        await asyncio.wait({self._task})
        with suppress(asyncio.CancelledError):
            self._task.exception()  # it has been raised, or nobody is left to hear it
