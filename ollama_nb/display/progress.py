"""How far a pull, push, upload or creation is: a bar for each thing that is counted in bytes.

State and words only; where and how often they are shown is in `bars`.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ollama_nb.sizes import in_words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

RATE_OVER_S = 5.0


@dataclass(slots=True)
class Bar:
    """One thing that is counted: a layer, an upload, a conversion."""

    title: str
    total: int = 0
    completed: int = 0
    seen: deque[tuple[float, int]] = field(default_factory=deque)  # (seconds, completed) of late

    @property
    def fraction(self) -> float:
        """From 0 to 1."""
        return min(self.completed / self.total, 1.0) if self.total else 0.0

    @property
    def percent(self) -> int:
        """Rounded down, so that 100 means all."""
        return int(self.fraction * 100)

    @property
    def amount(self) -> str:
        """What is done of what there is, in words."""
        total = in_words(self.total)
        return total if self.fraction == 1.0 else f"{in_words(self.completed)} of {total}"

    def count(self, total: int, completed: int, now_s: float) -> None:
        """Take in what a step reports; a transfer that begins anew may count backwards."""
        self.total, self.completed = total, completed
        if self.seen and completed < self.seen[-1][1]:
            self.seen.clear()
        self.seen.append((now_s, completed))
        while now_s - self.seen[0][0] > RATE_OVER_S and len(self.seen) > 2:
            self.seen.popleft()

    def rate(self, now_s: float) -> float | None:
        """Bytes a second of late; None while there is nothing to tell, or nothing left."""
        if len(self.seen) < 2 or self.fraction == 1.0:
            return None
        since_s, before = self.seen[0]
        return (self.completed - before) / max(now_s - since_s, 1e-3)


class Progress:
    """What is being done with a model, and how far it is.

    Parameters
    ----------
    doing, done
        What it is called while it runs and afterwards: "pulling", "pulled".
    name
        The model.
    clock
        Seconds; only differences count.
    """

    def __init__(
        self, doing: str, done: str, name: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.doing, self.name = doing, name
        self.status = ""
        self._done = done
        self._succeeded = False
        self._bars: dict[str, Bar] = {}
        self._clock = clock
        self._lock = threading.Lock()  # a ticker reads while the work writes

    def take(self, step: Mapping[str, Any]) -> None:
        """Take in a step as the server reports it: status, and maybe total and completed."""
        status, total = str(step.get("status") or ""), int(step.get("total") or 0)
        with self._lock:
            self.status = status
            if total:
                bar = self._bars.setdefault(status, Bar(status))
                bar.count(total, int(step.get("completed") or 0), self._clock())

    def succeed(self) -> None:
        """Note that all is done."""
        with self._lock:
            self._succeeded = True
            for bar in self._bars.values():
                bar.completed = bar.total

    @property
    def bars(self) -> list[Bar]:
        """The bars, in the order in which they began."""
        with self._lock:
            return list(self._bars.values())

    @property
    def current(self) -> Bar | None:
        """The bar that the last step counted on, if it counted."""
        return self._bars.get(self.status)

    def rate(self, bar: Bar) -> str:
        """How fast a bar grows, in words; empty if that is unknown."""
        with self._lock:
            rate = bar.rate(self._clock())
        return "" if rate is None else f"{in_words(rate)}/s"

    @property
    def completed(self) -> int:
        """Bytes that are done, of all bars."""
        return sum(bar.completed for bar in self.bars)

    def reached(self) -> str:
        """Say how far it came: at the end of "it was stopped ..."."""
        bars = self.bars
        if not bars:
            return f"at {self.status!r}" if self.status else "before it began"
        all_of_it = Bar("", sum(bar.total for bar in bars), self.completed)
        return f"at {all_of_it.amount} ({all_of_it.percent} %)"

    def summary(self) -> str:
        """What is left behind: a line a bar, and the end; without times, so that it repeats."""
        lines = [f"{bar.title}: {bar.amount}, {bar.percent} %" for bar in self.bars]
        lines += [f"{self.name} is {self._done}"] if self._succeeded else []
        return "\n".join(lines)
