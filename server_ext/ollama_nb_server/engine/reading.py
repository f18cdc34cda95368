"""Long texts are cut into tokens on a thread of their own, so that nobody's tokens wait for that.

llama.cpp reads some megabytes a second, and lets Python's other threads run meanwhile.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ollama_nb_server.engine.errors import EngineError

LONG = 1 << 16  # letters or tokens: 20 ms or so


@dataclass(frozen=True, slots=True)
class Read:
    """What was made of request `id`'s texts, and who is to have it."""

    id: int
    outcome: Any
    then: Callable[[Any], None]


@dataclass(frozen=True, slots=True)
class Reading:
    """A text to be read: `work` makes something of it, `then` takes that on the loop's thread."""

    id: int
    work: Callable[[], Any]
    then: Callable[[Any], None]

    def done(self) -> Read:
        """Do the work; an error of the engine's is an outcome too."""
        try:
            return Read(self.id, self.work(), self.then)
        except EngineError as error:
            return Read(self.id, error, self.then)


class Reader:
    """Reads one long text after the other; `told` gets what became of each."""

    def __init__(self, told: Callable[[Read], None]) -> None:
        self._told = told
        self._waiting: queue.SimpleQueue[Reading] = queue.SimpleQueue()
        self._wanted: set[int] = set()
        self._thread: threading.Thread | None = None

    def read(self, reading: Reading) -> None:
        """Have a text read."""
        self._wanted.add(reading.id)
        self._waiting.put(reading)
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, daemon=True)
            self._thread.start()

    def take(self, request: int) -> bool:
        """Whether the request still waits; it no longer does then."""
        wanted = request in self._wanted
        self._wanted.discard(request)
        return wanted

    def _work(self) -> None:
        while True:
            reading = self._waiting.get()
            if reading.id in self._wanted:
                self._told(reading.done())
