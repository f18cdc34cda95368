"""Show an answer while it arrives and leave a static one behind: the only owner of a display_id.

What is shown is decided by the callers; here is where, how often, and that the end is final.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Protocol

from ollama_nb.preferences import settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from ollama_nb.answers import Generation

MAX_UPDATES_PER_S = 15.0
MAX_BYTES_PER_S = (
    100_000  # an update sends the whole text again; Jupyter's own limit is ten times this
)
TICK_S = 0.5


class Screen(Protocol):
    """Where an answer is shown, from `open` to `finish`; `close` ends what was not finished."""

    def open(self) -> None:
        """Begin to show that an answer is waited for."""

    def update(self, text: str) -> None:
        """Take the whole answer so far."""

    def finish(self, answer: Generation) -> None:
        """Take the final answer; its rendering is what a saved notebook keeps."""

    def close(self) -> None:
        """Show nothing more; may be called after `finish`."""


class Nowhere:
    """Shows nothing: the caller wants the value only."""

    def open(self) -> None:
        """Show nothing."""

    def update(self, text: str) -> None:
        """Ignore the text."""

    def finish(self, answer: Generation) -> None:
        """Ignore the answer."""

    def close(self) -> None:
        """There is nothing to end."""


class Terminal(Nowhere):
    """Writes new text as it comes, for plain Python and IPython in a terminal."""

    def __init__(self, write: Callable[[str], object] | None = None) -> None:
        self._write = write or sys.stdout.write
        self._written = 0

    def update(self, text: str) -> None:
        """Write what is new."""
        self._write(text[self._written :])
        self._written = len(text)
        sys.stdout.flush()

    def finish(self, answer: Generation) -> None:
        """Write the rest and end the line."""
        self.update(answer.text)
        self._write("\n")
        mark_shown(answer)


class OneCell(Nowhere):
    """Displays the answer once, when it is whole, for notebooks that a program executes."""

    def finish(self, answer: Generation) -> None:
        """Display the answer."""
        from IPython.display import display

        display(answer.bundle(), raw=True, metadata=answer.provenance())
        mark_shown(answer)


class LiveCell(Nowhere):
    """Streams into one display_id of the running cell.

    Parameters
    ----------
    waiting_for
        Name of the model, for the line that is shown until its first word.
    publish
        Sends a bundle with its metadata and returns how many bytes that were; the first one
        makes the output, later ones replace it.
    clock
        Seconds; only differences count.
    """

    def __init__(
        self,
        waiting_for: str,
        publish: Callable[[dict[str, str], dict[str, Any]], int] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._model = waiting_for
        self._publish = publish or OneOutput().publish
        self._clock = clock
        self._started_s = clock()
        self._not_before_s = self._started_s
        self._text = ""
        self._shown = ""
        self._done = threading.Event()
        self._lock = threading.Lock()  # the ticker and the stream both publish

    def open(self) -> None:
        """Make the output, with a line that says what is waited for."""
        self._send(self._waiting())
        threading.Thread(target=self._run_ticker, name="ollama_nb-display", daemon=True).start()

    def end(self) -> None:
        """Leave the output as it is and publish nothing more."""
        with self._lock:
            self._done.set()

    def close(self) -> None:
        """Clear the output of an answer that was never finished."""
        if not self._done.is_set():
            self.end()
            self._send("")

    def update(self, text: str) -> None:
        """Show the text now if the last update is long enough ago, else at a later call."""
        with self._lock:
            self._text = text
            self._send_if_due()

    def tick(self) -> None:
        """Show text that was held back, or how long the first word has been waited for."""
        with self._lock:
            if not self._done.is_set():
                self._send_if_due()

    def finish(self, answer: Generation) -> None:
        """Replace all by the final rendering, which stands for the result of this cell."""
        self.end()
        self._publish(answer.bundle(), answer.provenance())
        mark_shown(answer)

    def _send_if_due(self) -> None:
        text = self._text or self._waiting()
        if text != self._shown and self._clock() >= self._not_before_s:
            self._send(text)

    def _send(self, text: str) -> None:
        num_bytes = self._publish({"text/markdown": text, "text/plain": text}, {})
        self._shown = text
        pause_s = max(1 / MAX_UPDATES_PER_S, num_bytes / MAX_BYTES_PER_S)
        self._not_before_s = self._clock() + pause_s

    def _waiting(self) -> str:
        return (
            f"*{self._model}: waiting for the first word, {self._clock() - self._started_s:.0f} s*"
        )

    def _run_ticker(self) -> None:
        while not self._done.wait(TICK_S):
            self.tick()


class OneOutput:
    """An output of the running cell that can be replaced, from any thread."""

    def __init__(self) -> None:
        self._handle: Any = None

    def publish(self, bundle: dict[str, str], metadata: dict[str, Any]) -> int:
        """Display the first bundle, replace it by the later ones; return the bytes sent."""
        from IPython.display import DisplayHandle

        if self._handle is None:
            self._handle = DisplayHandle()
            self._handle.display(bundle, raw=True, metadata=metadata)
        else:
            self._handle.update(bundle, raw=True, metadata=metadata)
        return sum(len(text.encode()) for text in bundle.values())


def screen(model: str, *, visible: bool = True) -> Screen:
    """Return the screen that fits where this code runs.

    A notebook that a person looks at is streamed into; one that a program executes (nbclient,
    nbconvert, nbval) gets one display, because saved live updates differ from what such a run
    compares with. `settings.live` overrides the guess.
    """
    if not visible:
        return Nowhere()
    shell = _shell()
    if shell is None or not hasattr(shell, "kernel"):
        return Terminal()
    live = _is_watched(shell) if settings.live is None else settings.live
    return LiveCell(model) if live else OneCell()


def _is_watched(shell: Any) -> bool:
    """Tell whether a front end asked for this cell that could ask its user something."""
    return bool(shell.get_parent().get("content", {}).get("allow_stdin", False))


def mark_shown(answer: Generation) -> None:
    """Keep IPython from showing the answer a second time as the result of this cell."""
    shell = _shell()
    if shell is None:
        return

    def cell_ends(*_: object) -> None:
        answer.shown = False
        shell.events.unregister("post_run_cell", cell_ends)

    answer.shown = True
    shell.events.register("post_run_cell", cell_ends)


def _shell() -> Any:
    """Return the running IPython, without importing it."""
    module = sys.modules.get("IPython")
    return module.get_ipython() if module else None
