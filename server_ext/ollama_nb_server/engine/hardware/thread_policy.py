"""How many threads compute, by what others use of the processors: readings in, a number out.

Threads of one computation wait for the slowest. Where another process takes turns with one of them
all go at its speed, and one thread fewer is faster. Where nobody does, one fewer costs up to half
of the speed. So they give way soon and come back late, the later the more often it was too early.
No clock and no system here; `processors` reads them.
"""

from __future__ import annotations

import math

from ollama_nb_server.engine.hardware.processors import ProcessorTimes

GIVES_WAY = 0.55  # of a thread's processor that others use: from there on the thread goes
COMES_BACK = 0.25  # of a processor that others use: up to there a thread comes back to it
PATIENCE_S, MOST_PATIENCE_S = 2.0, 60.0  # so long a processor has to be free before that
NOTICE_S = 0.4  # so long others have to use it before a thread goes
STEADY_S = 30.0  # a thread that stays so long was not too early


class ThreadPolicy:
    """Decides between one thread and `full`, which a model takes where nobody else computes.

    Parameters
    ----------
    full
        Threads that the model is best computed with.
    num_processors
        Processors that our threads may run on, whatever the quota.
    limit
        What our control group may use of them; `inf` without one.
    """

    def __init__(self, full: int, num_processors: int, limit: float = math.inf) -> None:
        self.threads = self._full = full
        self._num_processors, self._limit = num_processors, limit
        self._last: ProcessorTimes | None = None
        self._too_many_s = self._too_few_s = 0.0
        self._patience_s, self._raised_s = PATIENCE_S, -math.inf

    def rested(self) -> None:
        """Take note that nothing was computed: what others used meanwhile says nothing of now."""
        self._last = None
        self._too_many_s = self._too_few_s = 0.0

    def take(self, now: ProcessorTimes) -> int:
        """Take in a reading; how many threads are to compute from now on."""
        last, self._last = self._last, now
        if last is not None and now.clock_s > last.clock_s:
            self._weigh(self._free(last, now), now.clock_s - last.clock_s, now.clock_s)
        return self.threads

    def _free(self, last: ProcessorTimes, now: ProcessorTimes) -> float:
        """How many processors others have left to us since the last reading."""
        elapsed_s, own_s = now.clock_s - last.clock_s, now.own_s - last.own_s
        free = (now.idle_s - last.idle_s + own_s) / elapsed_s
        of_quota = self._limit - (now.group_s - last.group_s - own_s) / elapsed_s
        return min(free, self._num_processors, math.inf if math.isnan(of_quota) else of_quota)

    def _weigh(self, free: float, elapsed_s: float, now_s: float) -> None:
        fewer = self._threads_on(free + 1 - GIVES_WAY)
        more = self._threads_on(free + COMES_BACK)
        self._too_many_s = self._too_many_s + elapsed_s if fewer < self.threads else 0.0
        self._too_few_s = self._too_few_s + elapsed_s if more > self.threads else 0.0
        if self._too_many_s >= NOTICE_S:
            self._lower(fewer, now_s)
        elif self._too_few_s >= self._patience_s:
            self._raise(more, now_s)

    def _threads_on(self, free: float) -> int:
        return max(1, min(self._full, math.floor(free)))

    def _lower(self, threads: int, now_s: float) -> None:
        early = now_s - self._raised_s < STEADY_S
        self._patience_s = min(2 * self._patience_s, MOST_PATIENCE_S) if early else PATIENCE_S
        self.threads, self._too_many_s = threads, 0.0

    def _raise(self, threads: int, now_s: float) -> None:
        self.threads, self._too_few_s, self._raised_s = threads, 0.0, now_s
