"""Heartbeats: a stream that has nothing to say for a while says that it is alive.

Proxies cut a connection on which nothing comes for a minute, and a request may wait that long for
its place, its model or its prompt. A heartbeat is a message of the stream's own shape without text.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")
SHOWN_S = 1.0


@dataclass(frozen=True, slots=True)
class AnswerStream(Generic[T]):
    """Answers, and what is told wherever none comes for `interval_s` seconds.

    Whoever sends them sends the heartbeats, beside what it waits for: a task between the two would
    cost as much for every token as all the rest of its way.
    """

    answers: AsyncGenerator[T, None]
    heartbeat: Callable[[], T]
    interval_s: float


def interval_for(usual_s: float, *, is_shown: bool) -> float:
    """Seconds between heartbeats: fewer where somebody reads how far it is; `inf` stays: none."""
    return min(usual_s, SHOWN_S) if is_shown and usual_s < math.inf else usual_s


def repeating(answers: AsyncGenerator[T, None], first: T, interval_s: float) -> AnswerStream[T]:
    """Steps of which the last is told again where the next takes its time; `first` before any."""
    last = first

    async def remembered() -> AsyncGenerator[T, None]:
        nonlocal last
        async with aclosing(answers):
            async for last in answers:
                yield last

    return AnswerStream(remembered(), lambda: last, interval_s)


class Clock(Protocol):
    """What an event loop knows of time."""

    def time(self) -> float:
        """Seconds."""

    def call_at(self, when: float, callback: Callable[[], object]) -> asyncio.TimerHandle:
        """Have something called then."""


class Heart:
    """Calls `beat` wherever `told` was not called for so many seconds, as long as it is entered.

    One timer for all: it looks when it rings what has been told meanwhile.
    """

    def __init__(
        self, beat: Callable[[], object], interval_s: float, clock: Clock | None = None
    ) -> None:
        self._beat, self._interval_s = beat, interval_s
        self._clock: Clock = clock or asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self.told()

    def told(self) -> None:
        """Take note that something has been said."""
        self._told_s = self._clock.time()

    def __enter__(self) -> Heart:
        self._wind()
        return self

    def __exit__(self, *error: object) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _wind(self) -> None:
        if self._interval_s < math.inf:
            self._timer = self._clock.call_at(self._told_s + self._interval_s, self._ring)

    def _ring(self) -> None:
        if self._clock.time() >= self._told_s + self._interval_s:
            self.told()
            self._beat()
        self._wind()
