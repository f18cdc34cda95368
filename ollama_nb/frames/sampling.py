"""A few rows tried before all of them, and how long all of them would take."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ollama_nb.errors import OllamaNbError
from ollama_nb.frames.bar import in_time, rows_in_words, tell
from ollama_nb.frames.errors import BadColumns
from ollama_nb.frames.running import kept_keys

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ollama_nb.frames.running import Question, RowAnswer

SLOTS = 16  # rows that a server computes together, at most


@dataclass(frozen=True, slots=True)
class Sample:
    """Some rows of a frame.

    Attributes
    ----------
    places
        Which, in their order.
    questions
        Those of all rows.
    model
        Who is asked.
    """

    places: list[int]
    questions: Sequence[Question]
    model: str

    @classmethod
    def of(cls, questions: Sequence[Question], model: str, number: int) -> Sample:
        """Choose rows that have something to ask, evenly spread.

        Raises
        ------
        BadColumns
            For a number below one.
        """
        if number < 1:
            raise BadColumns(f"sample is a number of rows from 1, not {number}")
        asking = [
            place
            for place, question in enumerate(questions)
            if question is not None and not isinstance(question, OllamaNbError)
        ]
        number = min(number, len(asking))
        return cls(
            [asking[step * len(asking) // number] for step in range(number)], questions, model
        )

    def tell(self, rows: Sequence[RowAnswer]) -> None:
        """Say how long the other rows take."""
        keys, kept = kept_keys(self.questions, self.model)
        left = len(keys - kept)
        all_of_them = rows_in_words(len(self.questions))
        seconds = [row.answer.seconds for row in rows if row.answer is not None]
        if not left:
            tell(f"all of {all_of_them} are in the cache, or equal to one that is")
        elif seconds:
            quick, slow = self._estimate(seconds, left)
            tell(
                f"{len(seconds)} of {all_of_them} tried: {left:,} different prompts are left, "
                f"about {in_time(quick)} to {in_time(slow)}"
            )

    def _estimate(self, seconds: Sequence[float], left: int) -> tuple[float, float]:
        """Return the least and the most: as many at once as a server can, or as many as now."""
        each = statistics.fmean(seconds)
        return each * -(-left // SLOTS), each * -(-left // min(len(seconds), SLOTS))
