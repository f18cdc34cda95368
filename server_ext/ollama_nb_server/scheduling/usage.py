"""What is accounted for: a record of each request, load, unloading and worker's end, once each.

A request has two: when it asks for a worker, and when it is over, however that comes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from ollama_nb_server.engine.client import End, Ending
from ollama_nb_server.engine.messages import EngineStats
from ollama_nb_server.scheduling.errors import Refusal

log = logging.getLogger(__name__)

ACCOUNTED = frozenset({"generate", "chat", "embed", "embeddings", "score"})  # tokenize is free
# How outcomes are called in rows and labels.
OUTCOMES = {end: end.value.replace(" ", "_") for end in End}


@dataclass(frozen=True, slots=True)
class Asked:
    """Who has asked which model for what; `number` is the request's own in a server's life.

    `asked_at` is seconds since the epoch. `digest` is the model's, "" where nobody said.
    """

    number: int
    user: str
    verb: str
    model: str
    digest: str
    asked_at: float


@dataclass(frozen=True, slots=True)
class Usage:
    """What a request that is over has cost: tokens in `ending`, and nanoseconds.

    It waited `queue_ns` for others and `load_ns` for its model; `prompt_ns` and `eval_ns` were
    computed, also for one that was cancelled. `first_token_s` are the seconds from its asking for a
    worker to the first text of its answer; None where no text came. `ended_at` is seconds since the
    epoch.
    """

    asked: Asked
    ending: Ending
    ended_at: float
    first_token_s: float | None = None
    queue_ns: int = 0
    load_ns: int = 0
    prompt_ns: int = 0
    eval_ns: int = 0

    @property
    def user(self) -> str:
        """Who asked."""
        return self.asked.user

    @property
    def model(self) -> str:
        """Which model was asked."""
        return self.asked.model

    @property
    def num_tokens(self) -> int:
        """Of the prompt, cached ones too, and of the answer."""
        return self.ending.prompt_count + self.ending.eval_count

    @property
    def compute_s(self) -> float:
        """Seconds in which the model worked on it, beside others as may be."""
        return (self.prompt_ns + self.eval_ns) / 1e9


@dataclass(frozen=True, slots=True)
class Refused:
    """A request that was refused before it had asked for a worker; `code` is the HTTP status.

    `model` is the name as it was sent, "" where nobody has read it. `at` is seconds since the
    epoch.
    """

    user: str
    verb: str
    model: str
    code: int
    at: float


@dataclass(frozen=True, slots=True)
class Told:
    """With which HTTP status the request of this number ended for its client, of an error."""

    number: int
    code: int


@dataclass(frozen=True, slots=True)
class LoadEnded:
    """How a load ended (`FINISHED`, `FAILED`, `CANCELLED`), and after how many seconds."""

    model: str
    how: End
    took_s: float


@dataclass(frozen=True, slots=True)
class Unloaded:
    """A worker was told to go, and why: one of the reasons of `decisions`."""

    model: str
    reason: str


@dataclass(frozen=True, slots=True)
class WorkerEnded:
    """A worker's process is gone, and what it had done; a crash is one that nobody had told to."""

    model: str
    stats: EngineStats
    crashed: bool


Record = Asked | Usage | Refused | Told | LoadEnded | Unloaded | WorkerEnded
Account = Callable[[Record], None]


def end_of(error: BaseException) -> End:
    """How a request ended that an error ended before a worker could say so."""
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        return End.CANCELLED
    return End.REFUSED if isinstance(error, Refusal) else End.FAILED


def to_log(record: Record) -> None:
    """Write a request's record to the log, a line; the scheduler tells of workers itself."""
    if not isinstance(record, Usage):
        return
    ending = record.ending
    log.info(
        "%s: %d prompt tokens, %d generated, %s%s",
        record.model,
        ending.prompt_count,
        ending.eval_count,
        ending.how.value,
        f", for {record.user}" if record.user else "",
    )
