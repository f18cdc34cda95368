"""Show progress while it is made and leave text lines behind: in a cell, in a terminal, nowhere.

How often a cell is updated is decided in `live`, what the lines say in `progress`.
"""

from __future__ import annotations

import html
import sys
import time
from typing import TYPE_CHECKING, Any, Protocol

from ollama_nb.display.cell import OneOutput
from ollama_nb.display.live import MAX_UPDATES_PER_S, Live, Place, place

if TYPE_CHECKING:
    from collections.abc import Callable

    from ollama_nb.display.progress import Bar, Progress

WIDTH = 24
TRACK = "background:var(--jp-layout-color3,#ddd);border-radius:3px;width:14em;height:0.7em"
FILL = "background:var(--jp-brand-color1,#1976d2);border-radius:3px;height:100%"
CELL = "text-align:left;padding:1px 1em 1px 0"


class Board(Protocol):
    """Where progress is shown, from `open` to `close`."""

    def open(self) -> None:
        """Begin to show it."""

    def update(self) -> None:
        """Show that it has gone on, now or soon."""

    def close(self) -> None:
        """Show the end, which is what a saved notebook keeps."""


class NoBoard:
    """Shows nothing."""

    def open(self) -> None:
        """Show nothing."""

    def update(self) -> None:
        """Show nothing."""

    def close(self) -> None:
        """Show nothing."""


class TerminalBoard(NoBoard):
    """One line that is written over, on a terminal; only the last lines, into a file."""

    def __init__(
        self, progress: Progress, out: Any = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._progress = progress
        self._out = out or sys.stdout
        self._clock = clock
        self._not_before_s = clock()
        self._length = 0

    def update(self) -> None:
        """Write over the line, if the last time is long enough ago."""
        if self._out.isatty() and self._clock() >= self._not_before_s:
            self._overwrite(self._line())
            self._not_before_s = self._clock() + 1 / MAX_UPDATES_PER_S

    def close(self) -> None:
        """Replace the line by those that stay."""
        if self._length:
            self._overwrite("")
            self._out.write("\r")
        if summary := self._progress.summary():
            self._out.write(f"{summary}\n")
        self._out.flush()

    def _line(self) -> str:
        bar = self._progress.current
        return self._progress.status if bar is None else drawn(self._progress, bar)

    def _overwrite(self, line: str) -> None:
        self._out.write(f"\r{line.ljust(self._length)}")
        self._out.flush()
        self._length = len(line)


class OneCellBoard(NoBoard):
    """Displays the end only, for notebooks that a program executes."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def close(self) -> None:
        """Display the lines, if there are any."""
        if self._progress.summary():
            OneOutput().publish(final(self._progress), provenance(self._progress))


class LiveBoard(Live):
    """Bars in one output of the running cell; at the end their text takes its place.

    Parameters
    ----------
    progress
        What is shown.
    publish, clock
        As for `Live`.
    """

    def __init__(
        self,
        progress: Progress,
        publish: Callable[[dict[str, str], dict[str, Any]], int] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(publish, clock)
        self._progress = progress

    def update(self) -> None:
        """Show the bars now if the last update is long enough ago, else at a later call."""
        self.tick()

    def close(self) -> None:
        """Replace the bars by the lines that stay."""
        self.end()
        self._publish(final(self._progress), provenance(self._progress))

    def _bundle(self) -> dict[str, str]:
        lines = [drawn(self._progress, bar) for bar in self._progress.bars]
        text = "\n".join([*lines, self._headline()])
        return {"text/html": self._html(), "text/plain": text}

    def _headline(self) -> str:
        progress = self._progress
        waited = f"{self._clock() - self._started_s:.0f} s"
        status = "" if progress.current else f": {progress.status}" if progress.status else ""
        return f"{progress.doing} {progress.name}{status} … {waited}"

    def _html(self) -> str:
        rows = "".join(_row(self._progress, bar) for bar in self._progress.bars)
        table = f'<table style="border:none;margin:0">{rows}</table>' if rows else ""
        return f"<div>{table}<div><em>{html.escape(self._headline())}</em></div></div>"


def drawn(progress: Progress, bar: Bar) -> str:
    """One bar as a line of text."""
    num_full = int(bar.fraction * WIDTH)
    track = "█" * num_full + "·" * (WIDTH - num_full)
    facts = [bar.title, track, f"{bar.percent:3} %", bar.amount, progress.rate(bar)]
    return "  ".join(fact for fact in facts if fact)


def _row(progress: Progress, bar: Bar) -> str:
    fill = f'<div style="{FILL};width:{bar.fraction:.1%}"></div>'
    cells = [
        html.escape(bar.title),
        f'<div style="{TRACK}">{fill}</div>',
        f"{bar.percent} %",
        html.escape(bar.amount),
        html.escape(progress.rate(bar)),
    ]
    return "<tr>" + "".join(f'<td style="{CELL}">{cell}</td>' for cell in cells) + "</tr>"


def final(progress: Progress) -> dict[str, str]:
    """What is left behind, as a display bundle."""
    return {"text/plain": progress.summary()}


def provenance(progress: Progress) -> dict[str, Any]:
    """What was done, for the metadata of the output."""
    return {"ollama_nb": {"model": progress.name, "doing": progress.doing}}


def board(progress: Progress, *, visible: bool = True) -> Board:
    """Return the board that fits where this code runs."""
    if not visible:
        return NoBoard()
    boards: dict[Place, Callable[[Progress], Board]] = {
        Place.TERMINAL: TerminalBoard,
        Place.EXECUTED: OneCellBoard,
        Place.WATCHED: LiveBoard,
    }
    return boards[place()](progress)
