"""How many threads compute beside others, on machines that are made of numbers: no clock, no load."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from ollama_nb_server.engine.hardware.processors import ProcessorTimes
from ollama_nb_server.engine.hardware.thread_policy import (
    MOST_PATIENCE_S,
    NOTICE_S,
    PATIENCE_S,
    ThreadPolicy,
)

EVERY_S = 0.25
Load = Callable[[float], float]  # processors that others want, by the time in seconds


class Machine:
    """Processors that are shared out fairly among our threads, which always compute, and others."""

    def __init__(self, num: int, load: Load, *, full: int = 0, limit: float = math.inf) -> None:
        self.num, self.load, self.limit = num, load, limit
        self.policy = ThreadPolicy(full or num, num, limit)
        self.now_s = self.idle_s = self.own_s = self.others_s = 0.0
        self.policy.take(self._times())
        self.history: list[int] = []

    def run(self, seconds: float, every_s: float = EVERY_S) -> list[int]:
        """Our threads after every reading in so many seconds."""
        history = []
        for _ in range(round(seconds / every_s)):
            wanted, threads = self.load(self.now_s), self.policy.threads
            share = min(1.0, min(self.num, self.limit) / (wanted + threads))
            self.now_s += every_s
            self.own_s += every_s * threads * share
            self.others_s += every_s * wanted * share
            self.idle_s += every_s * (self.num - (wanted + threads) * share)
            history.append(self.policy.take(self._times()))
        self.history += history
        return history

    def _times(self) -> ProcessorTimes:
        group_s = math.nan if math.isinf(self.limit) else self.own_s + self.others_s
        return ProcessorTimes(self.now_s, self.idle_s, self.own_s, group_s)

    @property
    def num_changes(self) -> int:
        return sum(a != b for a, b in zip(self.history, self.history[1:], strict=False))


def steady(processors: float) -> Load:
    return lambda _: processors


def between(begin_s: float, end_s: float, processors: float = 1.0) -> Load:
    return lambda at_s: processors if begin_s <= at_s < end_s else 0.0


def flapping(period_s: float) -> Load:
    return lambda at_s: float(at_s % period_s >= period_s / 2)


@pytest.mark.parametrize(
    ("num", "load", "more", "threads"),
    [
        pytest.param(2, steady(0), {}, 2, id="alone"),
        pytest.param(2, steady(0.3), {}, 2, id="beside a browser"),
        pytest.param(2, steady(1), {}, 1, id="beside one busy process"),
        pytest.param(2, steady(5), {}, 1, id="beside many"),
        pytest.param(1, steady(1), {}, 1, id="one processor"),
        pytest.param(16, steady(3), {}, 13, id="many processors"),
        pytest.param(16, steady(3.4), {}, 13, id="many processors, a part of one more"),
        pytest.param(64, steady(1.4), {}, 63, id="very many"),
        pytest.param(16, steady(3), {"full": 8}, 8, id="more processors than threads"),
        pytest.param(16, steady(12), {"full": 8}, 5, id="few are left"),
        pytest.param(16, steady(0), {"full": 1, "limit": 1.5}, 1, id="a quota of 1.5"),
        pytest.param(16, steady(0), {"full": 4, "limit": 4.0}, 4, id="a quota of 4, alone"),
        pytest.param(16, steady(1), {"full": 4, "limit": 4.0}, 3, id="a quota of 4, shared"),
    ],
)
def test_threads_are_as_many_as_others_leave(num, load, more, threads):
    machine = Machine(num, load, **more)

    machine.run(30)

    assert machine.history[-1] == threads
    assert machine.num_changes <= 2


def test_a_thread_goes_soon_and_comes_back_late():
    machine = Machine(2, between(10, 20))

    assert set(machine.run(10)) == {2}
    assert machine.run(NOTICE_S + 2 * EVERY_S)[-1] == 1
    machine.run(20 - machine.now_s)
    assert set(machine.run(PATIENCE_S - EVERY_S)) == {1}
    assert machine.run(2 * EVERY_S)[-1] == 2


def test_a_process_that_computes_for_a_moment_takes_nothing():
    machine = Machine(2, between(10, 10 + EVERY_S))

    assert set(machine.run(30)) == {2}


@pytest.mark.parametrize("period_s", [1, 2, 6, 12])
def test_load_that_comes_and_goes_does_not_change_the_threads_with_it(period_s):
    machine = Machine(2, flapping(period_s))

    machine.run(240)

    assert machine.num_changes <= 8
    assert machine.history[-1] == 1


def test_after_load_that_came_and_went_it_comes_back_all_the_same():
    machine = Machine(2, lambda at_s: flapping(6)(at_s) if at_s < 240 else 0.0)
    machine.run(240)

    assert machine.run(MOST_PATIENCE_S + EVERY_S)[-1] == 2


def test_load_on_the_edge_does_not_change_the_threads_to_and_fro():
    machine = Machine(16, lambda at_s: 3.4 if at_s % 24 < 12 else 3.7)

    machine.run(240)

    assert machine.num_changes <= 2


def test_what_happened_while_nothing_was_computed_counts():
    machine = Machine(2, between(0, 60))
    machine.run(60, every_s=60)
    assert machine.policy.threads == 1

    machine.run(60, every_s=60)
    assert machine.policy.threads == 2


def test_a_clock_that_stands_still_changes_nothing():
    policy = ThreadPolicy(2, 2)
    policy.take(ProcessorTimes(1.0, 5.0, 0.0))

    assert policy.take(ProcessorTimes(1.0, 5.0, 0.0)) == 2


def test_what_others_used_while_nothing_was_computed_takes_no_thread() -> None:
    """A notebook's cell computes, then asks: its processors are ours again when it waits for us."""
    machine = Machine(2, load=lambda seconds: 0.0)
    machine.now_s += 10.0  # of which nobody has told
    machine.others_s += 20.0
    machine.policy.rested()

    assert machine.run(2.0) == [2] * 8
