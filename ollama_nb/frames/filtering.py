"""`df.llm.filter()`: the rows of which something is true, by a model's probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ollama_nb.errors import BadTemplate
from ollama_nb.frames.columns import beside
from ollama_nb.frames.deciding import (
    checked_threshold,
    decide,
    is_yes,
    num_undecided,
    warn_of_undecided,
    yes_probability,
)
from ollama_nb.frames.generating import as_frame
from ollama_nb.frames.prompts import Prompt, prompts_of
from ollama_nb.frames.sampling import Sample
from ollama_nb.frames.scoring import Scoring, pace_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from ollama_nb.errors import OllamaNbError


def filter(
    frame: pd.DataFrame,
    /,
    template: str,
    *,
    threshold: float = 0.5,
    into: str | None = None,
    sample: int | None = None,
    model: str | None = None,
    system: str | None = None,
    options: Mapping[str, Any] | None = None,
    keep_alive: float | str | None = None,
    fresh: bool = False,
    progress: bool = True,
) -> pd.DataFrame:
    """Return the rows to which a model says yes.

    Each row costs reading its prompt; nothing is written. Scores are kept on disk: run again, also
    with another threshold, only the rest is asked for.

    Parameters
    ----------
    template
        A question or a statement with columns in it: `"Does {{ review }} complain of a wait?"`.
    threshold
        How probable Yes must be, against No.
    into
        The name of a column for this probability.
    sample
        Ask about only so many rows, spread over the frame, and say how long all would take.
    model, system, options, keep_alive
        As for `ollama_nb.score()`.
    fresh
        Ask for all rows anew, whatever is kept.
    progress
        Show a bar while rows are asked, and leave a line of text.

    Returns
    -------
    pandas.DataFrame
        A copy of these rows with their index, in their order. A row in which a column of the
        template is missing is left out, as is one that failed or, after Ctrl-C, was not asked.

    Raises
    ------
    UnknownColumn, NoColumn, BadTemplate
        For a template that does not fit the frame.
    BadColumns
        For a threshold that is no probability.
    OllamaNbError
        If there is no server or no such model, and no row has a score yet.

    Warns
    -----
    RowsFailed
        If rows are left out because something went wrong.

    Examples
    --------
    >>> df.llm.filter("{{ review }} complains of a long wait.")  # doctest: +SKIP
    """
    least = checked_threshold(threshold)
    scoring = Scoring.of(model, system, options, keep_alive, fresh, progress)
    texts = texts_of_prompts(frame, template)
    trial = Sample.of(texts, sample)
    frame = trial.rows(frame)
    rows = decide(trial.among(texts), scoring)
    if sample is not None and progress:
        trial.tell(pace_of(rows), num_undecided(texts, scoring))
    warn_of_undecided(rows, "are left out")
    places = [place for place, row in enumerate(rows) if is_yes(row, least)]
    kept: pd.DataFrame = frame.iloc[places].copy()
    if into is None:
        return kept
    import pandas as pd

    known = [yes_probability(rows[place]) for place in places]
    return beside(kept, pd.DataFrame({into: known}, index=kept.index, dtype="float64"))


def filter_column(series: pd.Series[Any], /, template: str, **how: Any) -> pd.Series[Any]:
    """Return the values of a column to which a model says yes.

    Parameters
    ----------
    template
        A question or a statement with `{{ text }}`, or the column's own name, for the value.
    how
        As for `df.llm.filter()`, but for `into`.

    Returns
    -------
    pandas.Series
        These values with their index, in their order.

    Examples
    --------
    >>> df["review"].llm.filter("Is this about food? {{ text }}")  # doctest: +SKIP
    """
    numbered = as_frame(series).reset_index(drop=True)
    places = filter(numbered, template, **how).index
    kept: pd.Series[Any] = series.iloc[places]
    return kept


def texts_of_prompts(frame: pd.DataFrame, template: str) -> list[str | OllamaNbError | None]:
    """Return what each row asks as a text, an error for one that cannot, None for a missing one."""
    return [_text_of(prompt) for prompt in prompts_of(frame, template)]


def _text_of(prompt: Prompt | OllamaNbError | None) -> str | OllamaNbError | None:
    if not isinstance(prompt, Prompt):
        return prompt
    if prompt.prompt.images:
        return BadTemplate(
            f"{prompt.prompt.images[0].name} is a picture, and only texts of rows are scored: "
            "ollama_nb.score() takes one prompt with images="
        )
    return prompt.prompt.text
