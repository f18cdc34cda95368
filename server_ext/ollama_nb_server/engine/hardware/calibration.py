"""Chooses by measuring: flash attention, threads and tokens of a step, in three seconds at most.

Which is faster depends on the processor, on the shape of a model's attention and on how long
contexts are. What follows from the times is decided by functions of them; how attention is measured
is in `attention_trial`, what is kept of it in `choice`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, closing

from ollama_nb_server.engine.hardware.attention_trial import AttentionTrial, Case
from ollama_nb_server.engine.kv_types import Heads

LIMIT_S = 3.0
SHORT, LONG, PROMPT = 64, 1000, 256  # tokens
ANSWER = 100  # tokens of an answer beside a short context, and as many beside a long one
MOST_CELLS = 1024  # of a context; how far values lie apart in larger ones matters little
ROUNDS = 3  # the best of so many counts: others can only make it slower
CLEARLY = 0.92  # of another's time: less can be chance
STEP = 64  # tokens of a small step

Clock = Callable[[], float]
Times = Mapping[Case, float]
Shares = Mapping[Case, float]


class Stopwatch:
    """Says whether there is time left to measure."""

    def __init__(self, limit_s: float = LIMIT_S, clock: Clock = time.monotonic) -> None:
        self._clock, self._end_s = clock, clock() + limit_s

    @property
    def left_s(self) -> float:
        """Seconds until the measuring has to be over."""
        return self._end_s - self._clock()


def shares(num_ctx: int, num_parallel: int) -> Shares:
    """The steps whose times count, and how often an answered request has each of them.

    Half of the requests come alone and half together; a prompt of two pieces, an answer of
    200 tokens of which half have a long context before them.
    """
    short, long, prompt = (min(length, num_ctx) for length in (SHORT, LONG, PROMPT))
    cells = min(num_ctx, MOST_CELLS)
    counted: dict[Case, float] = {}
    for case, count in (
        (Case(1, prompt, prompt, cells), 2.0),
        (Case(1, 1, short, cells), ANSWER / 2),
        (Case(1, 1, long, cells), ANSWER / 2),
        (Case(num_parallel, 1, short, cells), ANSWER / 2 / num_parallel),
        (Case(num_parallel, 1, long, cells), ANSWER / 2 / num_parallel),
    ):
        counted[case] = counted.get(case, 0.0) + count
    return counted


def weighed(times: Times, counted: Shares) -> float:
    """Seconds that a request's steps take together."""
    return sum(times[case] * count for case, count in counted.items())


def attention_times(
    heads: Heads, cases: Iterable[Case], threads: int, watch: Stopwatch
) -> dict[bool, Times] | None:
    """Seconds of a layer's attention in each step, with flash attention and without.

    None: there was no time for all of it.
    """
    best: dict[bool, dict[Case, float]] = {False: {}, True: {}}
    for case in cases:
        with ExitStack() as stack:
            trials = {flash: _trial(stack, heads, case, flash, threads) for flash in best}
            for _ in range(ROUNDS):  # in turn: what holds one up holds the other up
                if watch.left_s <= 0:
                    break
                for flash, trial in trials.items():
                    seconds = trial.seconds()
                    best[flash][case] = min(seconds, best[flash].get(case, math.inf))
        if case not in best[True]:
            return None
    return dict(best)


def _trial(stack: ExitStack, heads: Heads, case: Case, flash: bool, threads: int) -> AttentionTrial:
    trial = AttentionTrial(heads, case, flash=flash, threads=threads, rounds=ROUNDS)
    return stack.enter_context(closing(trial))


def fewest_threads(times: Mapping[int, float]) -> int:
    """The threads that are fastest; fewer, where these are hardly slower."""
    best = min(times.values())
    return min(threads for threads, seconds in times.items() if seconds * CLEARLY <= best)


def thread_counts(full: int) -> tuple[int, ...]:
    """Numbers of threads worth a trial: a large machine's memory is busy with fewer than all."""
    return tuple(sorted({full, full * 3 // 4, full // 2} - {0, 1})) if full >= 4 else (full,)


def step_size(small_s: float, whole_s: float, num_batch: int) -> int:
    """Tokens of a step that has a prompt alone, by the seconds of a token in each kind of step."""
    return STEP if small_s < CLEARLY * whole_s else num_batch
