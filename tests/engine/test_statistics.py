"""What a worker tells of its steps: everything in the end, and seldom."""

from __future__ import annotations

import pytest
from ollama_nb_server.engine.messages import STEP_BOUNDS_S, EngineStats
from ollama_nb_server.engine.prefixes.kv_cache import KVCache
from ollama_nb_server.engine.statistics import Statistics


class Telling:
    """Statistics with a clock that the test moves, and what they have told."""

    def __init__(self) -> None:
        self.now, self.told = 5.0, list[EngineStats]()
        self.statistics = Statistics(KVCache(None, 4), self.told.append, lambda: self.now)

    def step(self, took_s: float) -> None:
        self.now += took_s
        self.statistics.count_step(took_s)


@pytest.fixture
def telling() -> Telling:
    telling = Telling()
    telling.statistics.tell()
    return telling


def test_slots_are_told_before_anything_has_happened(telling: Telling) -> None:
    (stats,) = telling.told

    assert (stats.num_slots, stats.num_live, sum(stats.steps)) == (4, 0, 0)


def test_steps_are_told_once_a_second(telling: Telling) -> None:
    for _ in range(450):
        telling.step(1 / 128)

    assert [sum(stats.steps) for stats in telling.told] == [0, 128, 256, 384]


def test_what_is_left_is_told_before_there_is_nothing_to_do(telling: Telling) -> None:
    telling.step(1 / 128)
    telling.statistics.tell()
    telling.statistics.tell()

    assert [sum(stats.steps) for stats in telling.told] == [0, 1]
    assert telling.told[-1].steps_s == 1 / 128


@pytest.mark.parametrize(
    ("took_s", "bucket"), [(0.0005, 0), (0.001, 0), (0.0011, 1), (10.0, 12), (11.0, 13)]
)
def test_a_step_is_counted_up_to_its_bound(telling: Telling, took_s: float, bucket: int) -> None:
    telling.step(took_s)
    telling.statistics.tell()

    assert telling.told[-1].steps.index(1) == bucket
    assert len(telling.told[-1].steps) == len(STEP_BOUNDS_S) + 1
