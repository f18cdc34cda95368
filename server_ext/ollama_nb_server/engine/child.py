"""The process of a worker as an operating system sees it: start, log, death and its cause.

What is said to it and by it is `process`'s affair.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping

native_log = logging.getLogger("ollama_nb_server.engine.llama_cpp")

ENVIRONMENT = {"GGML_NO_BACKTRACE": "1"}  # llama.cpp would start a debugger to print one
# How often a thread of libgomp looks whether the others have come before it sleeps. Its own 300,000
# hold the processor that a busy process beside us has taken from the thread they wait for.
SPINNING = {"GOMP_SPINCOUNT": "1000"}
SAYS_HOW_TO_WAIT = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")  # a user's own word on it

OUT_OF_MEMORY = getattr(signal, "SIGKILL", 0)  # what Linux ends a process with then


class Child:
    """A process that runs the worker's module, and the thread that attends to it.

    Parameters
    ----------
    orders
        The line it reads first. Its stdin stays open as long as we live, and it ends with that.
    died
        Called once, from the attending thread, with the exit code (negative: a signal's number).
    """

    def __init__(self, orders: bytes, died: Callable[[int], None]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "ollama_nb_server.engine.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment(os.environ),  # OpenMP reads it when it is loaded, not later
            start_new_session=True,  # Ctrl-C in the server's terminal is for the server
        )
        self.pid = self._process.pid
        self._last_lines: deque[str] = deque(maxlen=20)
        threading.Thread(target=self._attend, args=(orders, died), daemon=True).start()

    def terminate(self) -> None:
        """Ask it to end."""
        self._process.terminate()

    def kill(self) -> None:
        """End it."""
        self._process.kill()

    def cause(self, code: int) -> str:
        """Why it ended, as far as its exit code and its last words tell."""
        if code >= 0:
            said = next((line for line in reversed(self._last_lines) if line.strip()), "")
            return f"it exited with code {code}" + (f" ({said})" if said else "")
        memory = ", perhaps because memory ran out" if -code == OUT_OF_MEMORY else ""
        return f"it was killed by {signal.Signals(-code).name}{memory}"

    def _attend(self, orders: bytes, died: Callable[[int], None]) -> None:
        """Hand over the orders, pass its log on, see it die."""
        stdin, stderr = self._process.stdin, self._process.stderr
        assert stdin is not None
        assert stderr is not None
        try:
            stdin.write(orders + b"\n")
            stdin.flush()
        except OSError:
            native_log.debug("worker %d was gone before it had its orders", self.pid)
        for line in stderr:
            text = line.decode("utf-8", "replace").rstrip()
            self._last_lines.append(text)
            native_log.debug("%s", text)
        code = self._process.wait()
        stderr.close()
        try:
            stdin.close()
        except OSError:
            native_log.debug("worker %d left its orders unread", self.pid)
        died(code)


def environment(inherited: Mapping[str, str]) -> dict[str, str]:
    """What a worker finds in its environment; how its threads wait only if nobody has said it."""
    said = any(name in inherited for name in SAYS_HOW_TO_WAIT)
    return {**inherited, **ENVIRONMENT, **({} if said else SPINNING)}
