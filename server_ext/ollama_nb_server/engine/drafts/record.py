"""How often a draft model has been right about one sequence; pure bookkeeping."""

from __future__ import annotations

from collections.abc import Sequence

MEMORY = 0.95  # weight of earlier tokens when one more is judged
PRIOR_HITS, PRIOR = 1.4, 2.0  # what is taken for known before: a draft model is made for this


class DraftRecord:
    """Remembers the last draft, and holds it against what really came behind it."""

    def __init__(self) -> None:
        self._hits, self._tries = PRIOR_HITS, PRIOR
        self._place, self._draft = 0, tuple[int, ...]()

    def follow(self, tokens: Sequence[int]) -> None:
        """Judge the last draft by what the sequence has become."""
        for drafted, token in zip(self._draft, tokens[self._place :], strict=False):
            hit = drafted == token
            self._hits = MEMORY * self._hits + hit
            self._tries = MEMORY * self._tries + 1
            if not hit:
                break
        self._draft = ()

    def note(self, place: int, draft: Sequence[int]) -> None:
        """Remember a draft for what comes at this place of the sequence."""
        self._place, self._draft = place, tuple(draft)

    def chances(self, count: int) -> list[float]:
        """How likely each of the next tokens is as drafted, if those before it are."""
        return [self._hits / self._tries] * count
