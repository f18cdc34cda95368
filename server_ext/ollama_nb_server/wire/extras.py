"""What Ollama's messages have no field for: the key `nb` of heartbeats and of the last message.

Only clients that send `X-Ollama-Nb-Extras: 1` get it; everybody else gets pure Ollama.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

EXTRAS_HEADER = "X-Ollama-Nb-Extras"


@dataclass(frozen=True, slots=True)
class Waits:
    """Seconds that a request waited for others, and for its model to be loaded.

    Ollama's `load_duration` is all of the wait for a worker, whatever for.
    """

    queue_s: float | None = None
    load_s: float | None = None


@dataclass(frozen=True, slots=True)
class ListedExtras:
    """Of a model in a list: the name of the window in which the caller may not use it now."""

    closed: str


@dataclass(frozen=True, slots=True)
class Extras:
    """How far a request is, or what its answer lacks; None and empty ones are left out.

    `queue_s` and `load_s` are the seconds that a request waited for its turn and for its model.
    `phase` is queued, loading, prefill or decode; `place` counts from 1. `fraction` of the weights
    have been read. `done` and `total` are tokens of the prompt. `eta_s` is told where it follows
    from what has been done so far.
    """

    phase: str = ""
    place: int | None = None
    fraction: float | None = None
    eta_s: float | None = None
    done: int | None = None
    total: int | None = None
    warnings: tuple[str, ...] = ()
    cached_tokens: int | None = None
    drafted_tokens: int | None = None
    accepted_tokens: int | None = None
    truncated_tokens: int | None = None
    dropped_messages: int | None = None
    queue_s: float | None = None
    load_s: float | None = None
    prompt_s: float | None = None

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {name: value for name, value in asdict(self).items() if value not in (None, "", ())}
