"""Servers that are away for a moment: a proxy's 502 or 503, or one that says when to come again.

A Hub starts its service anew within some 10 s, and its proxy answers in its stead meanwhile. A
server that is merely busy says so in the API's words and names no time: nobody waits for that.
The clients that wait are in `clients`; the search for a server waits in `searching`.
"""

from __future__ import annotations

import time
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

AWAY, CROWDED = (502, 503), 429
RETRY_AT_HEADER = "X-Ollama-Nb-Retry-At"  # of a quota that is used up
TOTAL_S, CROWDED_S = 30.0, 600.0
PRIORITY_HEADER, BATCH = "X-Ollama-Nb-Priority", "batch"
PAUSES_S = (0.5, 1.0, 2.0)  # then the last one again and again
LONGEST_S = 5.0
WAITING = "the server is away for a moment: asking again"

# How a thread waits. Where Ctrl-C does not reach a thread, its Stop has to end what waits here.
pause: ContextVar[Callable[[float], object]] = ContextVar("pause", default=time.sleep)


def return_s(response: httpx.Response) -> float | None:
    """Say in how many seconds the server may be there again; 0 if nobody knows.

    None for an answer that another try would not change.
    """
    if response.status_code not in AWAY:
        return None
    named = response.headers.get("Retry-After", "")
    if named:
        return min(float(named), LONGEST_S) if named.isdecimal() else 0.0
    is_api = "json" in response.headers.get("Content-Type", "")
    return None if is_api else 0.0


def crowded_s(response: httpx.Response) -> float | None:
    """Say in how many seconds one of many calls may be let in that its user's others keep out.

    None for an answer that says something else, a quota's among them, and for a call for whose
    answer somebody sits and waits.
    """
    if response.status_code != CROWDED or RETRY_AT_HEADER in response.headers:
        return None
    named = response.headers.get("Retry-After", "")
    is_batch = response.request.headers.get(PRIORITY_HEADER) == BATCH
    return min(float(named), LONGEST_S) if is_batch and named.isdecimal() else None


@dataclass(slots=True)
class Patience:
    """How long one call still waits for a server that is away: `total_s` in all."""

    clock: Callable[[], float] = time.monotonic
    total_s: float = field(default_factory=lambda: TOTAL_S)
    _pauses: list[float] = field(default_factory=lambda: list(PAUSES_S))
    _since_s: float | None = None

    def pause_s(self, named_s: float | None) -> float | None:
        """Seconds until the next try; None if there is none.

        `named_s` is what `return_s` or `crowded_s` says of the answer.
        """
        if named_s is None:
            return None
        now = self.clock()
        self._since_s = now if self._since_s is None else self._since_s
        usual = self._pauses.pop(0) if len(self._pauses) > 1 else self._pauses[0]
        length = max(named_s, usual)
        return length if now + length - self._since_s <= self.total_s else None
