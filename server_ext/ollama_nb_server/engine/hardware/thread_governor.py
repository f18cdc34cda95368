"""The threads of the next step: looks now and then what others leave of the processors.

What follows from it is decided in `thread_policy`; who asks for how many, in `engine`.
"""

from __future__ import annotations

import time

from ollama_nb_server.engine.hardware.processors import ProcessorReader
from ollama_nb_server.engine.hardware.thread_policy import ThreadPolicy

LOOK_EVERY_S = 0.25


class ThreadGovernor:
    """Keeps a model's threads between one and `full`, by a look at the processors now and then."""

    def __init__(self, full: int) -> None:
        self._reader = ProcessorReader()
        self._policy = ThreadPolicy(full, self._reader.num_processors, self._reader.limit)
        self._looked_s = time.monotonic()
        self._can_give_way = full > 1 and self._look()

    @property
    def threads(self) -> int:
        """Threads for the next step."""
        if self._can_give_way and time.monotonic() - self._looked_s >= LOOK_EVERY_S:
            self._look()
        return self._policy.threads

    def rested(self) -> None:
        """Look anew: until now there was nothing to compute."""
        if self._can_give_way:
            self._policy.rested()
            self._look()

    def _look(self) -> bool:
        self._looked_s = time.monotonic()
        times = self._reader.read()
        if times is not None:
            self._policy.take(times)
        return times is not None
