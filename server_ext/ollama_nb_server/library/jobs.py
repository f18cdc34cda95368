"""Work on one file in a child process that tells its progress, and that others may stop.

Such a child writes `done total` lines; every other line is kept for the error that tells why it
failed.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence

from ollama_nb_server.processes import Child

STEP = re.compile(r"(\d+) (\d+)\s*")


class ChildFailed(Exception):
    """The child ended with another code than 0; `said` is its last line."""

    def __init__(self, code: int, said: str, cause: str) -> None:
        super().__init__(said or cause)
        self.code, self.said = code, said


class Cancelled(Exception):
    """The work was stopped by whoever wanted it."""


class Cancellation:
    """Stops work from another thread: its child is killed, and no other is started."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: Child | None = None
        self.cancelled = False

    def cancel(self) -> None:
        """Stop it now, whatever it does."""
        with self._lock:
            self.cancelled = True
            if self._child is not None:
                self._child.kill()

    def watch(self, child: Child) -> None:
        """Let `cancel` kill this child from now on."""
        with self._lock:
            self._child = child
            if self.cancelled:
                child.kill()


def steps(
    module: str, arguments: Sequence[str], cancellation: Cancellation | None = None
) -> Iterator[tuple[int, int]]:
    """Run `python -m module arguments`, telling what is done and what there is to do.

    Closing the iterator ends the child, and so does the cancellation, from any thread.

    Raises
    ------
    Cancelled, ChildFailed
    """
    watch, said = cancellation or Cancellation(), ""
    child = Child(module, arguments)
    try:
        watch.watch(child)
        for line in child.lines():
            if step := STEP.fullmatch(line):
                yield int(step[1]), int(step[2])
            elif text := line.strip():
                said = text
        code = child.wait()
    finally:
        child.kill()
        child.wait()
    if watch.cancelled:
        raise Cancelled
    if code:
        raise ChildFailed(code, said, child.cause(code))
