"""One output of the running cell that is replaced while something happens: who watches, how often.

The only owner of a display_id. What is shown comes from `screens` (answers) and `bars` (progress).
"""

from __future__ import annotations

import enum
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from ollama_nb.connection.preferences import settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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
    live = _is_watched(shell) if settings.live is None else settings.live
    return Place.WATCHED if live else Place.EXECUTED


def _is_watched(shell: Any) -> bool:
    """Tell whether a front end asked for this cell that could ask its user something."""
    return bool(shell.get_parent().get("content", {}).get("allow_stdin", False))


def running_shell() -> Any:
    """Return the running IPython, without importing it."""
    module = sys.modules.get("IPython")
    return module.get_ipython() if module else None


def running_cell() -> int | None:
    """Return the number of the cell that runs, as in In[7]; None outside of cells."""
    shell = running_shell()
    if shell is None:
        return None
    if hasattr(shell, "kernel"):
        header = shell.get_parent().get("header", {})
        if header.get("msg_type") != "execute_request":  # a click in a widget, say
            return None
    return int(shell.execution_count)


class OneOutput:
    """An output of the running cell that can be replaced, from any thread."""

    def __init__(self) -> None:
        self._handle: Any = None

    def publish(self, bundle: Mapping[str, Any], metadata: dict[str, Any]) -> int:
        """Display the first bundle, replace it by the later ones; return the bytes sent."""
        from IPython.display import DisplayHandle

        if self._handle is None:
            self._handle = DisplayHandle()
            self._handle.display(bundle, raw=True, metadata=metadata)
        else:
            self._handle.update(bundle, raw=True, metadata=metadata)
        return sum(len(str(data).encode()) for data in bundle.values())


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
        threading.Thread(target=self._run_ticker, name="ollama_nb-display", daemon=True).start()

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
