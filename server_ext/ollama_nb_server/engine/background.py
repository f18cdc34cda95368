"""Long texts are cut into tokens on a thread of their own, so that nobody's tokens wait for that.

llama.cpp reads some megabytes a second, and lets Python's other threads run meanwhile.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ollama_nb_server.engine.errors import EngineError, InternalError

LONG = 1 << 16  # letters or tokens: 20 ms or so


@dataclass(frozen=True, slots=True)
class JobDone:
    """What became of request `id`'s job (an EngineError if it failed), and who is to have it."""

    id: int
    outcome: Any
    then: Callable[[Any], None]


@dataclass(frozen=True, slots=True)
class BackgroundJob:
    """`work` makes something of a long text; `then` takes that on the engine's thread."""

    id: int
    work: Callable[[], Any]
    then: Callable[[Any], None]

    def run(self) -> JobDone:
        """Do the work; an error is an outcome too, whatever it is: it is this request's alone."""
        try:
            return JobDone(self.id, self.work(), self.then)
        except EngineError as error:
            return JobDone(self.id, error, self.then)
        except Exception as error:
            return JobDone(self.id, InternalError.of(error), self.then)


class BackgroundThread:
    """Does one job after the other; `report` gets what became of each."""

    def __init__(self, report: Callable[[JobDone], None]) -> None:
        self._report = report
        self._queue: queue.SimpleQueue[BackgroundJob] = queue.SimpleQueue()
        self._pending: set[int] = set()
        self._thread: threading.Thread | None = None

    def submit(self, job: BackgroundJob) -> None:
        """Have a job done behind those that wait."""
        self._pending.add(job.id)
        self._queue.put(job)
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, daemon=True)
            self._thread.start()

    def take(self, request: int) -> bool:
        """Whether the request still waits for its job; it no longer does then."""
        pending = request in self._pending
        self._pending.discard(request)
        return pending

    def _work(self) -> None:
        while True:
            job = self._queue.get()
            if job.id in self._pending:
                self._report(job.run())
