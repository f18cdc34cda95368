"""A child process as the operating system sees it: its start, its words, its end and the cause."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence

log = logging.getLogger(__name__)

ENVIRONMENT = {"GGML_NO_BACKTRACE": "1"}  # llama.cpp would start a debugger to print one
# How often a thread of libgomp looks whether the others have come before it sleeps. Its own 300,000
# hold the processor that a busy process beside us has taken from the thread they wait for.
SPINNING = {"GOMP_SPINCOUNT": "1000"}
SAYS_HOW_TO_WAIT = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")  # a user's own word on it

KEPT_LINES = 20
OUT_OF_MEMORY = getattr(signal, "SIGKILL", 0)  # what Linux ends a process with then


class Child:
    """`python -m module arguments`. Whoever starts it reads its lines to the end, then waits.

    Parameters
    ----------
    orders
        The line that it reads first. Its stdin stays open as long as we live, so that it can end
        with us. None: it reads nothing.
    own_session
        Whether Ctrl-C in the server's terminal is for the server only, which ends it in good order.
    """

    def __init__(
        self,
        module: str,
        arguments: Sequence[str] = (),
        *,
        orders: bytes | None = None,
        own_session: bool = False,
    ) -> None:
        self._orders = orders
        self._last_lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.DEVNULL if orders is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment(os.environ),  # OpenMP reads it when it is loaded, not later
            start_new_session=own_session,
        )
        self.pid = self._process.pid

    def lines(self) -> Iterator[str]:
        """Hand over the orders, then tell each line of its output; the last ones are kept."""
        self._hand_over()
        assert self._process.stdout is not None
        for line in self._process.stdout:
            text = line.decode("utf-8", "replace").rstrip()
            self._last_lines.append(text)
            yield text

    def terminate(self) -> None:
        """Ask it to end."""
        self._process.terminate()

    def kill(self) -> None:
        """End it."""
        self._process.kill()

    def wait(self) -> int:
        """Wait for its end; returns the exit code (negative: a signal's number)."""
        code = self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            try:
                if pipe is not None:
                    pipe.close()
            except OSError:
                log.debug("process %d left its orders unread", self.pid)
        return code

    def cause(self, code: int) -> str:
        """Why it ended, as far as its exit code and its last words tell."""
        if code >= 0:
            said = next((line for line in reversed(self._last_lines) if line.strip()), "")
            return f"it exited with code {code}" + (f" ({said})" if said else "")
        memory = ", perhaps because memory ran out" if -code == OUT_OF_MEMORY else ""
        return f"it was killed by {signal.Signals(-code).name}{memory}"

    def _hand_over(self) -> None:
        if self._orders is None:
            return
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(self._orders + b"\n")
            self._process.stdin.flush()
        except OSError:
            log.debug("process %d was gone before it had its orders", self.pid)


def environment(inherited: Mapping[str, str]) -> dict[str, str]:
    """What a child finds in its environment; how its threads wait only if nobody has said it."""
    said = any(name in inherited for name in SAYS_HOW_TO_WAIT)
    return {**inherited, **ENVIRONMENT, **({} if said else SPINNING)}
