"""How far the rows are: a bar while they are asked, a line of text that stays.

The bar is tqdm's; a notebook that a program executes gets the line alone.
"""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import dataclass
from typing import Any

from ollama_nb.display.cell import OneOutput
from ollama_nb.display.live import Place, place

PACE_S = 0.5  # an update of the widget is four messages; Jupyter's front ends take few a second


@dataclass(slots=True)
class Count:
    """What has become of the rows of one run."""

    total: int
    missing: int = 0
    kept: int = 0  # answered by an earlier run
    answered: int = 0
    failed: int = 0
    tokens: int = 0
    seconds: float = 0.0

    @property
    def asked(self) -> int:
        """Rows of this run that are done with."""
        return self.answered + self.failed

    @property
    def left(self) -> int:
        """Rows that nothing has become of."""
        return self.total - self.missing - self.kept - self.asked

    @property
    def rate(self) -> str:
        """Tokens of answers a second; empty while there are none."""
        return f"{self.tokens / self.seconds:,.0f} tokens/s" if self.tokens and self.seconds else ""

    def line(self) -> str:
        """Say it in one line."""
        parts = [f"{self.answered:,} answered"]
        parts += [f"{self.kept:,} from the cache"] if self.kept else []
        parts += [f"{self.failed:,} failed"] if self.failed else []
        parts += [f"{self.missing:,} missing"] if self.missing else []
        rate = f" ({self.rate})" if self.rate else ""
        took = f"; {self.tokens:,} tokens in {in_time(self.seconds)}{rate}" if self.tokens else ""
        told = f"{rows_in_words(self.total)}: {', '.join(parts)}{took}"
        return f"{told}. Stopped with {self.left:,} to go: run it again" if self.left else told


def rows_in_words(number: int) -> str:
    """Return "1 row", "2,000 rows"."""
    return f"{number:,} row" + ("s" if number != 1 else "")


def in_time(seconds: float) -> str:
    """Return a duration in words.

    >>> in_time(0.25), in_time(42), in_time(150), in_time(9000)
    ('0.2 s', '42 s', '2 min 30 s', '2 h 30 min')
    """
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


class Bar:
    """Shows a count; where a widget has shown it, the line takes the widget's place.

    Parameters
    ----------
    count
        What is shown. Others may change it while they hold `lock`.
    visible
        Whether anything is shown.
    """

    def __init__(self, count: Count, visible: bool = True) -> None:
        self.count = count
        self.lock = threading.Lock()
        self._visible = visible
        self._bar: Any = None
        self._output: OneOutput | None = None  # of the cell, where the bar is a widget
        self._asked_before = count.asked  # rows whose prompts could not be made
        self._start_s = time.perf_counter()

    def open(self) -> None:
        """Begin to show it, if there is something to ask."""
        if self._visible and self.count.left and place() is not Place.EXECUTED:
            self._bar = _tqdm(self.count.left)
        if hasattr(self._bar, "container"):
            self._output = OneOutput()
            self._output.publish(dict(self._bar.container._repr_mimebundle_()), {})

    def show(self) -> None:
        """Show how far it is now."""
        with self.lock:
            self.count.seconds = time.perf_counter() - self._start_s
            step = self.count.asked - self._asked_before - (self._bar.n if self._bar else 0)
        if self._bar is not None and step:
            self._bar.set_postfix_str(self.count.rate, refresh=False)
            self._bar.update(step)

    def close(self) -> None:
        """Leave the line behind."""
        if self._bar is not None:
            self._bar.close()
        if self._output is not None:
            self._bar.container.close()
        if self._visible:
            tell(self.count.line(), self._output)


def _tqdm(total: int) -> Any:
    """Return tqdm's bar: a widget in a notebook, a line in a terminal."""
    from tqdm.auto import tqdm
    from tqdm.notebook import tqdm_notebook

    how: dict[str, Any] = {"total": total, "unit": "row", "leave": False, "mininterval": PACE_S}
    if issubclass(tqdm, tqdm_notebook):
        how["display"] = False  # its output is ours, to be replaced by the line
    return tqdm(**how)


def tell(line: str, output: OneOutput | None = None) -> None:
    """Write a line where a person finds it: into the cell, or beside a program's output."""
    if place() is Place.TERMINAL:
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()
    else:
        (output or OneOutput()).publish({"text/plain": line}, {})
