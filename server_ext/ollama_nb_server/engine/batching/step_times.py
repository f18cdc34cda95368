"""How long a step takes by the number of its rows: learned from the steps themselves.

Pure: who computes says what each has taken. `drafts.speculation` weighs with it what a draft costs.
"""

from __future__ import annotations

from bisect import bisect_left, insort

WEIGHT = 0.25  # of the newest step


class StepTimes:
    """Seconds of a decoding step with so many rows."""

    def __init__(self) -> None:
        self._seconds: dict[int, float] = {}
        self._known: list[int] = []  # numbers of rows that have been measured, ascending

    def took(self, num_rows: int, seconds: float) -> None:
        """Learn from a step."""
        before = self._seconds.get(num_rows)
        if before is None:
            insort(self._known, num_rows)
            before = seconds
        self._seconds[num_rows] = before + WEIGHT * (seconds - before)

    def expected(self, num_rows: int) -> float | None:
        """What such a step will take, between two that are known in proportion.

        None beyond all that are known: nobody can say where it pays before it has been tried.
        """
        above = bisect_left(self._known, num_rows)
        if above == len(self._known):
            return None
        high = self._known[above]
        if high == num_rows or not above:
            return self._seconds[high]
        low = self._known[above - 1]
        part = (num_rows - low) / (high - low)
        return self._seconds[low] + part * (self._seconds[high] - self._seconds[low])
