"""What a worker tells of its own work: how long its steps took, and what its slots hold.

Totals since its start, at most one message a second and a last one before it has nothing to do, so
that whoever reads them is right when nothing moves and a second behind when something does.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable

from ollama_nb_server.engine.messages import STEP_BOUNDS_S, EngineStats
from ollama_nb_server.engine.prefixes.kv_cache import KVCache

EVERY_S = 1.0


class Statistics:
    """Counts steps, and tells of them when it is time."""

    def __init__(
        self,
        kv_cache: KVCache,
        tell: Callable[[EngineStats], None],
        clock: Callable[[], float] = time.perf_counter,
        token_times: Callable[[], tuple[float, float]] = lambda: (0.0, 0.0),
    ) -> None:
        self._kv_cache, self._tell, self._clock = kv_cache, tell, clock
        self._token_times = token_times
        self._steps, self._steps_s = [0] * (len(STEP_BOUNDS_S) + 1), 0.0
        self._told, self._told_s = EngineStats(), 0.0

    def count_step(self, took_s: float) -> None:
        """A step is over that took so long."""
        self._steps[bisect_left(STEP_BOUNDS_S, took_s)] += 1
        self._steps_s += took_s
        if self._clock() - self._told_s >= EVERY_S:
            self.tell()

    def tell(self) -> None:
        """Tell how things are, unless that has been told."""
        stats = self._now()
        if stats != self._told:
            self._told, self._told_s = stats, self._clock()
            self._tell(stats)

    def _now(self) -> EngineStats:
        live, prefixes = self._kv_cache.sequences, self._kv_cache.prefixes
        prompt_token_s, output_token_s = self._token_times()
        return EngineStats(
            steps=tuple(self._steps),
            steps_s=self._steps_s,
            num_slots=self._kv_cache.num_slots,
            num_live=len(live),
            num_idle=len(prefixes.idle),
            num_kv_tokens=sum(sequence.computed for sequence in live),
            prefix_bytes=prefixes.store.num_bytes,
            prompt_token_s=prompt_token_s,
            output_token_s=output_token_s,
        )


def untold(_: EngineStats) -> None:
    """Nobody wants to know."""
