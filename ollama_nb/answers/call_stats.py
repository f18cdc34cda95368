"""What a call cost: `CallStats`, counts and seconds.

Nanoseconds of the wire become seconds here, once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

NS_PER_S = 1e9


@dataclass(frozen=True)
class CallStats:
    """The counts and seconds of one call; None is what the server did not report.

    `cached_tokens` of the prompt had been read for an earlier call; `truncated_tokens` of what was
    sent were cut off before the model read it. `queue_s` was spent waiting for other requests: for
    a place in memory, or for a slot. Servers that do not tell it have it within `load_s`.

    `first_token_s` and, where the server is silent, `total_s` are measured in this kernel.
    """

    started_at: datetime
    total_s: float
    first_token_s: float | None = None
    load_s: float | None = None
    prompt_s: float | None = None
    eval_s: float | None = None
    prompt_tokens: int | None = None
    answer_tokens: int | None = None
    cached_tokens: int | None = None
    truncated_tokens: int | None = None
    queue_s: float | None = None

    @property
    def tokens_per_s(self) -> float | None:
        """Speed of the answer: its tokens divided by the seconds spent on them."""
        if not self.answer_tokens or not self.eval_s:
            return None
        return self.answer_tokens / self.eval_s

    @classmethod
    def from_wire(
        cls,
        part: Mapping[str, Any],
        *,
        started_at: datetime,
        elapsed_s: float,
        first_token_s: float | None = None,
    ) -> CallStats:
        """Read the last message of an answer; a field that is missing or zero stays None."""
        nb = part.get("nb") or {}
        return cls(
            started_at=started_at,
            total_s=_seconds(part.get("total_duration")) or elapsed_s,
            first_token_s=first_token_s,
            load_s=nb.get("load_s", _seconds(part.get("load_duration"))),
            prompt_s=nb.get("prompt_s", _seconds(part.get("prompt_eval_duration"))),
            eval_s=_seconds(part.get("eval_duration")),
            prompt_tokens=part.get("prompt_eval_count"),
            answer_tokens=part.get("eval_count"),
            cached_tokens=nb.get("cached_tokens"),
            truncated_tokens=nb.get("truncated_tokens"),
            queue_s=nb.get("queue_s"),
        )


def _seconds(duration_ns: int | None) -> float | None:
    return None if duration_ns is None else duration_ns / NS_PER_S
