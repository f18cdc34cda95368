"""How far the rows are: a bar while they are asked, a line of text that stays.

The bar is tqdm's; a notebook that a program executes gets the line alone.
"""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from ollama_nb.display.live import Place, place


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


@dataclass
class Bar:
    """Shows a count: `update` from any thread, the rest from the one that shows it.

    Parameters
    ----------
    count
        What is shown; `update` may change it.
    visible
        Whether anything is shown.
    """

    count: Count
    visible: bool = True
    _bar: Any = None
    _asked_before: int = 0  # rows whose prompts could not be made
    _start_s: float = field(default_factory=time.perf_counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def open(self) -> None:
        """Begin to show it, if there is something to ask."""
        self._asked_before = self.count.asked
        to_ask = self.count.left
        if self.visible and to_ask and place() is not Place.EXECUTED:
            from tqdm.auto import tqdm

            self._bar = tqdm(total=to_ask, unit="row", leave=False)

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
        if self.visible:
            tell(self.count.line())


def tell(line: str) -> None:
    """Write a line where a person finds it: into the cell, or beside a program's output."""
    out = sys.stderr if place() is Place.TERMINAL else sys.stdout
    out.write(f"{line}\n")
    out.flush()
