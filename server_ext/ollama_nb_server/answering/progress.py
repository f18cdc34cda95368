"""How far a request is, between its arrival and its first word, and after it.

Written by the steps of a verb, read by the heartbeats of its stream and by who looks at the server.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from ollama_nb_server.scheduling.run_queue import QueuePlace
from ollama_nb_server.scheduling.scheduler import Scheduler
from ollama_nb_server.wire.extras import Extras


class RequestProgress:
    """The progress of one request; `ticket` is the scheduler's number for it."""

    def __init__(self, scheduler: Scheduler, clock: Callable[[], float] = time.monotonic) -> None:
        self.ticket = scheduler.ticket()
        self._scheduler, self._clock = scheduler, clock
        self._place_for_slot: Callable[[int], QueuePlace | None] = lambda _: None
        self._reading = self._answering = False
        self._first: tuple[float, int] | None = None  # seconds and tokens of the first report
        self._done = self._total = 0

    def waits_in(self, place: Callable[[int], QueuePlace | None]) -> None:
        """Note who knows where the ticket stands among those who wait for a slot."""
        self._place_for_slot = place

    def prompt_computed(self, done: int, total: int) -> None:
        """Note how many of the prompt's tokens the model has read."""
        self._first = self._first or (self._clock(), done)
        self._done, self._total = done, total

    def reading(self) -> None:
        """Note that the model reads, where it does not say how far it is."""
        self._reading = True

    def answering(self) -> None:
        """Note that the answer has begun."""
        self._answering = True

    def extras(self) -> Extras:
        """What a heartbeat tells now."""
        if self._answering:
            return Extras("decode")
        if self._total:
            return Extras("prefill", eta_s=self._eta_s(), done=self._done, total=self._total)
        if self._reading:
            return Extras("prefill")
        position = self._scheduler.position(self.ticket)
        if position is None:  # it has a worker, and waits there for a slot
            waits = self._place_for_slot(self.ticket)
            return Extras("queued", waits.place, eta_s=waits.eta_s) if waits else Extras("queued")
        if not position.loading:
            return Extras("queued", place=position.place)
        read = position.fraction
        return Extras("loading", place=position.place, fraction=read and round(read, 3))

    def _eta_s(self) -> float | None:
        """Seconds until the prompt is read, at its speed so far; None before there is one."""
        assert self._first is not None
        began_s, before = self._first
        if self._done <= before:
            return None
        took_s = self._clock() - began_s
        return round((self._total - self._done) * took_s / (self._done - before), 1)
