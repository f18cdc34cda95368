"""The server's metrics in a registry of their own, which an app shows or adds to another one."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import choose_encoder

from ollama_nb_server.engine.client import End
from ollama_nb_server.metrics.engines import EngineCollector
from ollama_nb_server.metrics.labels import Labels
from ollama_nb_server.scheduling import decisions
from ollama_nb_server.scheduling.activity import ModelActivity
from ollama_nb_server.scheduling.usage import (
    OUTCOMES,
    Asked,
    LoadEnded,
    Record,
    Refused,
    Told,
    Unloaded,
    Usage,
    WorkerEnded,
)

PREFIX = "ollama_nb"
TOKEN_BOUNDS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
LOAD_BOUNDS_S = (0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
# How reasons are called in labels.
REASONS = {
    decisions.KEPT_ENOUGH: "keep_alive",
    decisions.NO_PLACE: "place",
    decisions.NO_MEMORY: "memory",
    decisions.OTHER_OPTIONS: "options",
    decisions.NOT_AWAITED: "unawaited",
}


class Metrics:
    """Counts what the scheduler records. `watch` says where to look for what goes on.

    `by_user`: what was used is counted by user too.
    """

    def __init__(self, *, by_user: bool = False) -> None:
        self.registry = CollectorRegistry()
        self._label = Labels()
        self._user = Labels() if by_user else None
        whose = ("model", "user") if by_user else ("model",)
        self._requests = self._counter(
            "requests", "Requests for answers and vectors that are over.", *whose, "outcome"
        )
        self._prompt_tokens = self._counter(
            "prompt_tokens", "Tokens of prompts and of texts for vectors, cached ones too.", *whose
        )
        self._cached_tokens = self._counter(
            "cached_prompt_tokens", "Tokens of prompts computed for an earlier request.", *whose
        )
        self._generated_tokens = self._counter("generated_tokens", "Tokens of answers.", *whose)
        self._first_token = self._histogram(
            "time_to_first_token_seconds",
            "From a request for a model, its load included, to the first text of the answer.",
            TOKEN_BOUNDS_S,
            "model",
        )
        self._loads = self._histogram(
            "model_load_seconds", "Loads of models.", LOAD_BOUNDS_S, "model", "outcome"
        )
        self._unloads = self._counter("model_unloads", "Models told to go.", "model", "reason")
        self._crashes = self._counter(
            "worker_crashes", "Workers that ended and were not told to.", "model"
        )
        self._engines = EngineCollector(PREFIX, self._label)
        self.registry.register(self._engines)

    def watch(self, activity: Callable[[], Iterable[ModelActivity]]) -> None:
        """Ask this for what goes on, each time that somebody wants to know."""
        self._engines.activity = activity

    def record(self, record: Record) -> None:
        """Add a record to the totals."""
        if isinstance(record, Asked | Told):
            return
        if isinstance(record, Refused):  # of a model that may not be there
            self._requests.labels(*self._whose("", record.user), OUTCOMES[End.REFUSED]).inc()
            return
        model = self._label(record.model)
        match record:
            case Usage():
                self._used(model, record)
            case LoadEnded(how=how, took_s=took_s):
                self._loads.labels(model, OUTCOMES[how]).observe(took_s)
            case Unloaded(reason=reason):
                self._unloads.labels(model, REASONS.get(reason, "other")).inc()
            case WorkerEnded(stats=stats, crashed=crashed):
                self._engines.keep(model, stats)
                self._crashes.labels(model).inc(crashed)

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """All of them as text, in the format that a scraper accepts, and its media type."""
        encode, media_type = choose_encoder(accept)
        return encode(self.registry), media_type

    def _whose(self, model: str, user: str) -> tuple[str, ...]:
        """The labels of a request."""
        return (model,) if self._user is None else (model, self._user(user))

    def _used(self, model: str, usage: Usage) -> None:
        ending = usage.ending
        whose = self._whose(model, usage.user)
        self._requests.labels(*whose, OUTCOMES[ending.how]).inc()
        self._prompt_tokens.labels(*whose).inc(ending.prompt_count)
        self._cached_tokens.labels(*whose).inc(ending.cached_count)
        self._generated_tokens.labels(*whose).inc(ending.eval_count)
        if usage.first_token_s is not None:
            self._first_token.labels(model).observe(usage.first_token_s)

    def _counter(self, name: str, told: str, *labels: str) -> Counter:
        return Counter(f"{PREFIX}_{name}", told, labels, registry=self.registry)

    def _histogram(
        self, name: str, told: str, bounds: tuple[float, ...], *labels: str
    ) -> Histogram:
        whole = f"{PREFIX}_{name}"
        return Histogram(whole, told, labels, registry=self.registry, buckets=bounds)
