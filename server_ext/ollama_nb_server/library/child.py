"""A child process that works on one file and tells its progress: what is common to all of them.

Such a child writes `done total` lines to stdout; every other line, of either stream, is kept for
the error that tells why it failed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

STEP = re.compile(rb"(\d+) (\d+)\s*")
KEPT_LINES = 5


class ChildFailed(Exception):
    """The child ended with another code than 0; `said` is its last line."""

    def __init__(self, code: int, said: str) -> None:
        super().__init__(said or f"the process ended with code {code}")
        self.code, self.said = code, said


class Cancelled(Exception):
    """The work was stopped by whoever wanted it."""


class Cancellation:
    """Stops work from another thread: its child is killed, and no other is started."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self.cancelled = False

    def cancel(self) -> None:
        """Stop it now, whatever it does."""
        with self._lock:
            self.cancelled = True
            if self._child is not None:
                self._child.kill()

    def watch(self, child: subprocess.Popen[bytes]) -> None:
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
    said: deque[str] = deque(maxlen=KEPT_LINES)
    watch = cancellation or Cancellation()
    with _running([sys.executable, "-m", module, *arguments]) as child:
        watch.watch(child)
        assert child.stdout is not None
        for line in child.stdout:
            if step := STEP.fullmatch(line):
                yield int(step[1]), int(step[2])
            elif text := line.decode("utf-8", "replace").strip():
                said.append(text)
        code = child.wait()
    if watch.cancelled:
        raise Cancelled
    if code:
        raise ChildFailed(code, said[-1] if said else "")


@contextmanager
def _running(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A child that does not outlive the block."""
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "GGML_NO_BACKTRACE": "1"},
    ) as child:
        try:
            yield child
        finally:
            child.kill()
