"""How likely each of some texts is as the answer: `Score` behind one prompt, `Scores` behind many.

Who asks for them is `scoring`; nothing here speaks to a server.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pandas as pd

SHOWN = 6  # choices in a repr


@dataclass(frozen=True)
class Score:
    """The choices behind one prompt, and how likely each is among them.

    Attributes
    ----------
    choices
        The texts, in the order in which they were given.
    best
        The likeliest of them.
    logprobs
        The natural logarithm of the probability that the answer begins with a choice, for each;
        None where a server only says which it prefers.
    """

    choices: tuple[str, ...]
    best: str
    logprobs: tuple[float, ...] | None = None

    @classmethod
    def of(cls, choices: Sequence[str], logprobs: Sequence[float]) -> Score:
        """Return the score that these log-probabilities make; of two equal ones the first wins."""
        best = max(range(len(choices)), key=lambda place: logprobs[place])
        return cls(tuple(choices), choices[best], tuple(logprobs))

    @property
    def probabilities(self) -> dict[str, float] | None:
        """Each choice's probability among the choices alone: the softmax of `logprobs`."""
        if self.logprobs is None:
            return None
        return dict(zip(self.choices, softmax(self.logprobs), strict=True))

    @property
    def probability(self) -> float | None:
        """The probability of the best one."""
        found = self.probabilities
        return None if found is None else found[self.best]

    def __repr__(self) -> str:
        found = self.probabilities
        if found is None:
            return f"Score({self.best!r}, without probabilities)"
        likeliest = sorted(found.items(), key=lambda pair: -pair[1])[:SHOWN]
        told = ", ".join(f"{choice!r}: {value:.3f}" for choice, value in likeliest)
        more = f", {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        return f"Score({told}{more})"


@dataclass(frozen=True)
class Scores:
    """A `Score` for each of many prompts, and tables of all of them.

    Attributes
    ----------
    choices
        The texts, the same behind all prompts.
    index
        What the rows of the tables are called: a Series' index, or numbers from 0.
    """

    choices: tuple[str, ...]
    index: Any
    _scores: tuple[Score, ...]

    @property
    def best(self) -> pd.Series[Any]:
        """The likeliest choice of each prompt, as a Categorical of all choices."""
        import pandas as pd

        values = pd.Categorical([score.best for score in self._scores], categories=self.choices)
        found: pd.Series[Any] = pd.Series(values, index=self.index, name="best")
        return found

    @property
    def probabilities(self) -> pd.DataFrame:
        """A row a prompt and a column a choice, each row adds up to 1; NaN where it is not told."""
        rows = [None if one.logprobs is None else softmax(one.logprobs) for one in self._scores]
        return self._table(rows)

    @property
    def logprobs(self) -> pd.DataFrame:
        """As `probabilities`, before the softmax: see `Score`."""
        return self._table([score.logprobs for score in self._scores])

    def _table(self, rows: Sequence[Sequence[float] | None]) -> pd.DataFrame:
        import numpy as np
        import pandas as pd

        unknown = [np.nan] * len(self.choices)
        values = [unknown if row is None else list(row) for row in rows]
        block = np.array(values, dtype="float64").reshape(len(rows), len(self.choices))
        frame: pd.DataFrame = pd.DataFrame(block, index=self.index, columns=list(self.choices))
        return frame

    def __len__(self) -> int:
        return len(self._scores)

    def __iter__(self) -> Iterator[Score]:
        return iter(self._scores)

    def __getitem__(self, place: int) -> Score:
        return self._scores[place]

    def __repr__(self) -> str:
        return f"<Scores of {len(self.choices)} choices behind {len(self._scores):,} prompts>"


def softmax(logprobs: Sequence[float]) -> tuple[float, ...]:
    """Return probabilities that add up to 1.

    Examples
    --------
    >>> softmax([-1000.0, -1000.0])
    (0.5, 0.5)
    """
    most = max(logprobs)
    weights = [math.exp(value - most) for value in logprobs]
    total = math.fsum(weights)
    return tuple(weight / total for weight in weights)
