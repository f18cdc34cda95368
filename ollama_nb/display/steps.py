"""Say in the running cell which of several calls runs, while a person watches.

Elsewhere nothing is shown: what the calls return says it all. How often is decided in `live`.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ollama_nb.display.live import Live, Place, place

if TYPE_CHECKING:
    from collections.abc import Generator


class Steps:
    """Counts calls; shown nowhere."""

    def __init__(self, doing: str, total: int) -> None:
        self._doing, self._total = doing, total
        self.begun = 0
        self._name = ""

    def begin(self, name: str) -> None:
        """Note that the next call begins."""
        self.begun += 1
        self._name = name

    def open(self) -> None:
        """Begin to show them."""

    def close(self) -> None:
        """Leave behind how many there were."""

    @property
    def line(self) -> str:
        """What is being done."""
        return f"{self._doing}: {self.begun} of {self._total}, {self._name}"


class LiveSteps(Steps):
    """Shows a line in the running cell, and at the end how many calls there were."""

    def __init__(self, doing: str, total: int) -> None:
        super().__init__(doing, total)
        self._live = _Line(self)

    def begin(self, name: str) -> None:
        """Show that the next call begins."""
        super().begin(name)
        self._live.tick()

    def open(self) -> None:
        """Make the line."""
        self._live.open()

    def close(self) -> None:
        """Leave the count."""
        self._live.close(f"{self._doing}: {self.begun} of {self._total} calls made")


class _Line(Live):
    def __init__(self, steps: Steps) -> None:
        super().__init__()
        self._steps = steps

    def _bundle(self) -> dict[str, str]:
        waited = f"{self._clock() - self._started_s:.0f} s"
        return {"text/plain": f"{self._steps.line} … {waited}"}

    def close(self, sentence: str) -> None:
        """Replace the line for good."""
        self.end()
        self._publish({"text/plain": sentence}, {})


@contextmanager
def steps(doing: str, total: int, *, visible: bool = True) -> Generator[Steps, Any, None]:
    """Show calls while the block lasts, where a person looks at a notebook."""
    shown = visible and place() is Place.WATCHED
    counted = (LiveSteps if shown else Steps)(doing, total)
    counted.open()
    try:
        yield counted
    finally:
        counted.close()
