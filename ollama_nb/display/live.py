"""One output of the running cell that is replaced while something happens: who watches, how often.

An output itself is in `cell`. What it shows comes from `screens` (answers) and `bars` (progress).
"""

from __future__ import annotations

import enum
import threading
import time
from typing import TYPE_CHECKING, Any

from ollama_nb.connection.preferences import settings
from ollama_nb.display.cell import OneOutput, is_watched, running_shell
from ollama_nb.threads import thread_of_cell

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_UPDATES_PER_S = 15.0
MAX_BYTES_PER_S = (
    100_000  # an update sends the whole text again; Jupyter's own limit is ten times this
)
TICK_S = 0.5


class Place(enum.Enum):
    """Where this code runs, as far as showing things goes."""

    TERMINAL = enum.auto()  # plain Python, or IPython in a terminal
    EXECUTED = enum.auto()  # a notebook that a program executes
    WATCHED = enum.auto()  # a notebook that a person looks at


def place() -> Place:
    """Tell where this code runs.

    A notebook that a person looks at is updated while things happen; one that a program executes
    (nbclient, nbconvert, nbval) gets one display, because saved live updates differ from what
    such a run compares with. `settings.live` overrides the guess.
    """
    shell = running_shell()
    if shell is None or not hasattr(shell, "kernel"):
        return Place.TERMINAL
    live = is_watched(shell) if settings.live is None else settings.live
    return Place.WATCHED if live else Place.EXECUTED


class Live:
    """Renders into one output, as often as it may; the rendering is a subclass's `_bundle`.

    Parameters
    ----------
    publish
        Sends a bundle with its metadata and returns how many bytes that were; the first one
        makes the output, later ones replace it.
    clock
        Seconds; only differences count.
    """

    def __init__(
        self,
        publish: Callable[[dict[str, str], dict[str, Any]], int] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._publish = publish or OneOutput().publish
        self._clock = clock
        self._started_s = clock()
        self._not_before_s = self._started_s
        self._shown: dict[str, str] = {}
        self._done = threading.Event()
        self._lock = threading.Lock()  # the ticker and the work both publish

    def _bundle(self) -> dict[str, str]:
        """Render the state as it is now."""
        raise NotImplementedError

    def open(self) -> None:
        """Make the output, and keep it fresh while nothing arrives."""
        self._send(self._bundle())
        thread_of_cell(self._run_ticker, "ollama_nb-display").start()

    def tick(self) -> None:
        """Show what was held back, or how long there has been nothing."""
        with self._lock:
            if not self._done.is_set():
                self._send_if_due()

    def end(self) -> None:
        """Leave the output as it is and publish nothing more."""
        with self._lock:
            self._done.set()

    def _send_if_due(self) -> None:
        if self._clock() >= self._not_before_s and (bundle := self._bundle()) != self._shown:
            self._send(bundle)

    def _send(self, bundle: dict[str, str]) -> None:
        num_bytes = self._publish(bundle, {})
        self._shown = bundle
        pause_s = max(1 / MAX_UPDATES_PER_S, num_bytes / MAX_BYTES_PER_S)
        self._not_before_s = self._clock() + pause_s

    def _run_ticker(self) -> None:
        while not self._done.wait(TICK_S):
            self.tick()
