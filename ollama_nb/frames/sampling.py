"""A few rows tried before all of them, and how long all of them would take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from ollama_nb.errors import OllamaNbError
from ollama_nb.frames.bar import in_time, tell
from ollama_nb.frames.errors import BadColumns

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

SLOTS = 16  # rows that a server computes together, at most

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Pace:
    """How long questions took that were tried.

    Attributes
    ----------
    seconds
        Of each, from the question to the answer, beside the others.
    tried
        How many these were.
    """

    seconds: float
    tried: int

    def of(self, left: int) -> str:
        """Say how long so many take: as many at once as a server can, or as many as now."""
        at_once = min(self.tried, SLOTS)
        quick, slow = (self.seconds * -(-left // width) for width in (SLOTS, at_once))
        return f"about {in_time(quick)} to {in_time(slow)}"


@dataclass(frozen=True, slots=True)
class Sample:
    """Some rows of a frame, or all of them.

    Attributes
    ----------
    places
        Which, in their order; None for all.
    total
        How many all are.
    noun
        What they are called: rows, or groups of rows.
    """

    places: list[int] | None
    total: int
    noun: str = "row"

    @classmethod
    def of(cls, questions: Sequence[object], number: int | None, noun: str = "row") -> Sample:
        """Choose rows that have something to ask, evenly spread; all rows without a number.

        Parameters
        ----------
        questions
            What each row asks; None, or an error, where there is nothing to ask.

        Raises
        ------
        BadColumns
            For a number below one.
        """
        if number is None:
            return cls(None, len(questions), noun)
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise BadColumns(f"sample is a number of {noun}s from 1, not {number!r}")
        asking = [
            place
            for place, question in enumerate(questions)
            if question is not None and not isinstance(question, OllamaNbError)
        ]
        number = min(number, len(asking))
        places = [asking[step * len(asking) // number] for step in range(number)]
        return cls(places, len(questions), noun)

    def rows(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return these rows of a frame."""
        chosen: pd.DataFrame = frame if self.places is None else frame.iloc[self.places]
        return chosen

    def index(self, index: pd.Index[Any]) -> pd.Index[Any]:
        """Return these rows' part of an index."""
        chosen: pd.Index[Any] = index if self.places is None else index[self.places]
        return chosen

    def among(self, values: Sequence[T]) -> Sequence[T]:
        """Return the values of these rows."""
        return values if self.places is None else [values[place] for place in self.places]

    def others(self, values: Sequence[T]) -> Sequence[T]:
        """Return the values of all other rows."""
        chosen = set(range(len(values)) if self.places is None else self.places)
        return [value for place, value in enumerate(values) if place not in chosen]

    def tell(self, pace: Pace | None, left: int, what: str = "different prompt") -> None:
        """Say how long what is left takes; nothing where nothing was answered."""
        of_all = _number(self.total, self.noun)
        if not left:
            tell(f"all of {of_all} are in the cache, or equal to one that is")
        elif pace is not None:
            tried, verb = len(self.places or ()), "is" if left == 1 else "are"
            told = f"{_number(left, what)} {verb} left, {pace.of(left)}"
            tell(f"{tried:,} of {of_all} tried: {told}")


def _number(number: int, what: str) -> str:
    return f"{number:,} {what}" + ("s" if number != 1 else "")
