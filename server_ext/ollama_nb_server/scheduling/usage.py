"""What is accounted for: a record of each request, load, unloading and worker's end, once each."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from ollama_nb_server.engine.client import End, Ending
from ollama_nb_server.engine.messages import EngineStats
from ollama_nb_server.scheduling.errors import SchedulingError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Usage:
    """Who used which model, and what was computed for it, in tokens.

    `first_token_s` are the seconds from its asking for a worker to the first text of its answer;
    None where no text came.
    """

    user: str
    model: str
    ending: Ending
    first_token_s: float | None = None


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


Record = Usage | LoadEnded | Unloaded | WorkerEnded
Account = Callable[[Record], None]


def end_of(error: BaseException) -> End:
    """How a request ended that an error ended before a worker could say so."""
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        return End.CANCELLED
    return End.REFUSED if isinstance(error, SchedulingError) else End.FAILED


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
