"""What a create tells while it works."""

from __future__ import annotations

from dataclasses import dataclass

NO_DIGEST = "0000000000000000000"  # of a file that is still being written


@dataclass(frozen=True, slots=True)
class Progress:
    """One thing that happened; `total` and `completed` in bytes, 0 where nothing is counted."""

    status: str
    digest: str = ""
    total: int = 0
    completed: int = 0
