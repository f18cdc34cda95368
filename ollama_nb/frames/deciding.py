"""Yes or no, by scoring both: what filters, joins and labels that may be several are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ollama_nb.errors import OllamaNbError
from ollama_nb.frames.bar import rows_in_words
from ollama_nb.frames.errors import BadColumns, RowsFailed
from ollama_nb.frames.running import RunStopped
from ollama_nb.frames.scoring import RowScore, Scoring, num_open, score_rows
from ollama_nb.warning import warn

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

YES, NO = "Yes", "No"


def decide(questions: Sequence[str | OllamaNbError | None], scoring: Scoring) -> list[RowScore]:
    """Return how likely the answer to each question, or that a statement is true, is Yes."""
    asked = [_asked(one) if isinstance(one, str) else one for one in questions]
    return score_rows(asked, (YES, NO), scoring)


def num_undecided(questions: Iterable[object], scoring: Scoring) -> int:
    """Return how many different questions the cache cannot decide."""
    return num_open((_asked(one) for one in questions if isinstance(one, str)), (YES, NO), scoring)


def _asked(question: str) -> str:
    text = question.strip()
    more = "" if text.endswith("?") else "Is that so? "
    return f"{text}\n\n{more}Answer Yes or No."


def yes_probability(row: RowScore) -> float:
    """Return the probability of Yes; NaN where there is none."""
    if row.score is None or row.score.probabilities is None:
        return float("nan")
    return row.score.probabilities[YES]


def is_yes(row: RowScore, threshold: float) -> bool:
    """Whether a row's answer is Yes; the likelier one where a server tells no probability."""
    if row.score is None:
        return False
    if row.score.probabilities is None:
        return row.score.best == YES
    return row.score.probabilities[YES] >= threshold


def checked_threshold(threshold: float, name: str = "threshold") -> float:
    """Return a probability.

    Raises
    ------
    BadColumns
    """
    is_number = isinstance(threshold, int | float) and not isinstance(threshold, bool)
    if not is_number or not 0 <= threshold <= 1:
        raise BadColumns(f"{name} is a probability from 0 to 1, not {threshold!r}")
    return float(threshold)


def warn_of_undecided(rows: Sequence[RowScore], what: str) -> None:
    """Warn of those that are left out because nothing is known of them."""
    failed = [row.error for row in rows if row.error is not None]
    failed = [error for error in failed if not isinstance(error, RunStopped)]
    if failed:
        warn(
            f"{rows_in_words(len(failed))} failed and {what}; run it again to ask for them anew. "
            f"The first: {failed[0]}",
            RowsFailed,
        )
