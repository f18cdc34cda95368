"""The right to run: a model computes for so many requests at once, all others wait for their turn.

Whose turn it is decides `fairness`. A lease is something else: it pins a worker, which may be asked
to tokenise meanwhile.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from statistics import fmean

from ollama_nb_server.scheduling.context import NOBODY, RequestContext
from ollama_nb_server.scheduling.errors import QueueFull, SchedulingError, TooManyWaiting
from ollama_nb_server.scheduling.fairness import FairQueue, Prices, Turn, is_crowded
from ollama_nb_server.scheduling.shares import ALONE, Shares

KEPT = 32  # turns that say how long one takes


@dataclass(frozen=True, slots=True)
class QueuePlace:
    """Where a request waits for its turn: 1 is next.

    `eta_s` are the seconds until then, by what the last turns took; None: none has ended yet.
    """

    place: int
    eta_s: float | None = None


@dataclass(frozen=True, slots=True)
class RunningTurn:
    """What tells the queue what is computed for a turn."""

    _turn: Turn
    _queue: RunQueue
    is_newcomer: bool  # whether its user had nothing else running when it began, and others had

    def computed(self, prompt: int, output: int) -> None:
        """So many tokens of its prompt have been computed, and so many drawn."""
        self._queue.computed(self._turn, prompt, output)


class RunQueue:
    """`capacity` turns at a time, and `num_express` more for users who have none; `shares` rule.

    No more than `max_waiting` wait for theirs (None: any number). `prices` are asked for whenever
    something was computed.
    """

    def __init__(
        self,
        capacity: int,
        max_waiting: int | None = None,
        shares: Shares = ALONE,
        num_express: int = 0,
        prices: Callable[[], Prices] = Prices,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_waiting, self._shares, self._prices = max_waiting, shares, prices
        self._fair = FairQueue(capacity, num_express, shares.max_running)
        self._futures: dict[int, asyncio.Future[None]] = {}
        self._tickets: dict[int, int] = {}  # of those who wait, by their turns
        self._places: dict[int, int] | None = None  # by tickets; None: they have to be found anew
        self._ids, self._clock = itertools.count(), clock
        self._took_s: deque[float] = deque(maxlen=KEPT)

    @property
    def num_running(self) -> int:
        """Who has a turn now."""
        return self._fair.num_running

    @property
    def num_waiting(self) -> int:
        """Who waits for one."""
        return self._fair.num_waiting

    @asynccontextmanager
    async def turn(
        self,
        context: RequestContext = NOBODY,
        ticket: int = 0,
        admit: Callable[[], None] = lambda: None,
    ) -> AsyncIterator[RunningTurn]:
        """Wait for a turn, and keep it until the block is left. `place` knows the ticket.

        `admit` is asked when the turn comes, and raises what is against it by then.

        Raises
        ------
        QueueFull, TooManyWaiting
            If too many wait already, of all users or of this one.
        """
        turn = self._shares.turn(next(self._ids), context)
        await self._come(turn, ticket)
        try:
            admit()
        except SchedulingError:
            self._go(turn)
            raise
        began_s = self._clock()
        try:
            yield RunningTurn(turn, self, self._fair.is_newcomer(turn))
        finally:
            self._took_s.append(self._clock() - began_s)
            self._go(turn)

    def place(self, ticket: int) -> QueuePlace | None:
        """Where the one of this ticket waits for its turn; None if it does not."""
        if self._places is None:
            order = enumerate(self._fair.order(), 1)
            self._places = {self._tickets[turn.id]: place for place, turn in order}
        place = self._places.get(ticket)
        return None if place is None else QueuePlace(place, self._eta_s(place))

    def computed(self, turn: Turn, prompt: int, output: int) -> None:
        """So many tokens have been computed for a turn that goes on."""
        self._fair.prices = self._prices()
        self._fair.computed(turn, prompt, output)
        self._places = None

    def _eta_s(self, place: int) -> float | None:
        if not self._took_s:
            return None
        return round(place * fmean(self._took_s) / self._fair.capacity, 1)

    async def _come(self, turn: Turn, ticket: int) -> None:
        self._fair.came(turn)
        if turn in self._begin():
            return
        try:
            self._check(turn)
        except (QueueFull, TooManyWaiting):
            self._fair.left(turn)
            raise
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._futures[turn.id], self._tickets[turn.id] = future, ticket
        try:
            await future
        except asyncio.CancelledError:
            if self._fair.is_waiting(turn):
                self._fair.left(turn)
                self._begin()
            else:  # the turn came at that very moment
                self._go(turn)
            raise
        finally:
            del self._futures[turn.id], self._tickets[turn.id]
            self._places = None

    def _check(self, turn: Turn) -> None:
        """Refuse one who has come and may not wait."""
        waiting = self._fair.waiting
        waiting[turn.user] -= 1
        most = self._shares.max_waiting
        if turn.user and most is not None and waiting[turn.user] >= most:
            raise TooManyWaiting(turn.user, most, self._eta_s(1) or 1.0)
        if self._max_waiting is not None and is_crowded(waiting, turn.user, self._max_waiting):
            raise QueueFull(self._max_waiting, "its turn")

    def _go(self, turn: Turn) -> None:
        self._fair.ended(turn)
        self._begin()

    def _begin(self) -> list[Turn]:
        """Let those begin whose turn it is."""
        begun = self._fair.begin()
        for turn in begun:
            future = self._futures.get(turn.id)
            if future is not None and not future.done():  # else its task leaves, and hands it on
                future.set_result(None)
        self._places = None
        return begun
