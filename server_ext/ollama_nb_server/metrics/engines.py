"""What the workers tell of themselves, and what runs and waits: read when somebody asks.

Step times are totals that die with their worker, while a counter must never fall: what a worker had
counted when it ended is kept.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from dataclasses import replace
from itertools import accumulate

from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric

from ollama_nb_server.engine.messages import STEP_BOUNDS_S, EngineStats
from ollama_nb_server.scheduling.activity import ModelActivity

Values = Iterable[tuple[tuple[str, ...], int]]
BOUNDS = (*map(str, STEP_BOUNDS_S), "+Inf")


class StepTimes:
    """How many steps took how long, of one model."""

    def __init__(self) -> None:
        self._counts, self._total_s = [0] * len(BOUNDS), 0.0

    def add(self, stats: EngineStats) -> None:
        """Count a worker's steps too."""
        self._total_s += stats.steps_s
        for place, count in enumerate(stats.steps):
            self._counts[place] += count

    def add_to(self, family: HistogramMetricFamily, model: str) -> None:
        """Tell them, each bucket with all shorter ones."""
        buckets = list(zip(BOUNDS, accumulate(self._counts), strict=True))
        family.add_metric([model], buckets, sum_value=self._total_s)


class EngineCollector:
    """Families of what is so at the moment, by model; two workers of one label are added up."""

    def __init__(self, prefix: str, label: Callable[[str], str]) -> None:
        self._prefix, self._label = prefix, label
        self._ended: defaultdict[str, StepTimes] = defaultdict(StepTimes)
        self.activity: Callable[[], Iterable[ModelActivity]] = tuple

    def keep(self, model: str, stats: EngineStats) -> None:
        """Keep what a worker has counted that is gone."""
        self._ended[model].add(stats)

    def collect(self) -> Iterator[Metric]:
        """What Prometheus's client calls for a scrape."""
        now = [replace(a, model=self._label(a.model)) for a in self.activity()]
        loaded = [(a.model, a.stats) for a in now if a.stats is not None]
        running = [((a.model,), a.num_running) for a in now]
        yield self._gauge("requests_running", "Requests that are computed.", running)
        waiting = [((a.model,), a.num_waiting) for a in now]
        yield self._gauge("requests_waiting", "Requests that wait for a worker or a slot.", waiting)
        sizes = [((a.model,), a.size_bytes) for a in now]
        yield self._gauge("model_memory_bytes", "Weights, KV cache and buffers.", sizes)
        slots = [((m, state), n) for m, stats in loaded for state, n in slots_of(stats).items()]
        yield self._gauge("slots", "Slots for sequences, by what they hold.", slots, "state")
        tokens = [((model,), stats.num_kv_tokens) for model, stats in loaded]
        yield self._gauge("kv_cache_tokens", "Tokens of the sequences in live slots.", tokens)
        copies = [((model,), stats.prefix_bytes) for model, stats in loaded]
        yield self._gauge("prefix_store_bytes", "Copies of what idle slots held.", copies)
        yield self._steps(loaded)

    def _gauge(self, name: str, told: str, values: Values, *labels: str) -> Metric:
        sums: Counter[tuple[str, ...]] = Counter()
        for key, value in values:
            sums[key] += value
        family = GaugeMetricFamily(f"{self._prefix}_{name}", told, labels=["model", *labels])
        for key, value in sums.items():
            family.add_metric(key, value)
        return family

    def _steps(self, loaded: Iterable[tuple[str, EngineStats]]) -> Metric:
        times = deepcopy(self._ended)
        for model, stats in loaded:
            times[model].add(stats)
        family = HistogramMetricFamily(
            f"{self._prefix}_engine_step_seconds",
            "Steps of generation: what is computed between two looks at what has come.",
            labels=["model"],
        )
        for model in times:
            times[model].add_to(family, model)
        return family


def slots_of(stats: EngineStats) -> dict[str, int]:
    """How many slots hold a sequence, what was computed of an earlier one, and nothing."""
    empty = stats.num_slots - stats.num_live - stats.num_idle
    return {"live": stats.num_live, "idle": stats.num_idle, "empty": empty}
