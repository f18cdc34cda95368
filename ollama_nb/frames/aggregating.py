"""`df.llm.agg()`: one answer about many rows, in parts where they are longer than a context."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ollama_nb.asking.generating import merged
from ollama_nb.errors import NotText, Stopped
from ollama_nb.frames.errors import BadColumns, UnknownColumn
from ollama_nb.frames.prompts import prompt_texts
from ollama_nb.frames.reducing import Reduction
from ollama_nb.frames.running import RunStopped, warn_of_failures
from ollama_nb.frames.sampling import Sample
from ollama_nb.frames.texts import texts_of
from ollama_nb.managing.catalogue import default_model

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    import pandas as pd

MAX_TOKENS = 256  # of an answer


def agg(
    frame: pd.DataFrame,
    /,
    instruction: str,
    of: Hashable,
    *,
    by: Any = None,
    max_tokens: int = MAX_TOKENS,
    sample: int | None = None,
    model: str | None = None,
    system: str | None = None,
    temperature: float | None = None,
    seed: int | None = None,
    options: Mapping[str, Any] | None = None,
    keep_alive: float | str | None = None,
    fresh: bool = False,
    progress: bool = True,
) -> str | pd.Series[Any]:
    """Ask a model one thing about all rows together, or about those of each group.

    Where the texts are longer than the model's context, it is asked about parts of them, many at
    a time, and then about the answers, until one is left. All answers are kept on disk.

    Parameters
    ----------
    instruction
        What is asked: `"What do these guests complain of most?"`. Taken literally.
    of
        The column of the texts, or a template with columns: `"{{ title }}: {{ body }}"`.
    by
        A column, or several, whose values make groups, as for pandas' `groupby`.
    max_tokens
        The most tokens of an answer, of one about a part too.
    sample
        Ask about only so many rows, or, with `by`, groups, spread over the frame, and say how long
        all would take.
    model, system, temperature, seed, options, keep_alive
        As for `ollama_nb.generate()`. A larger `num_ctx` makes fewer parts.
    fresh
        Ask anew, whatever is kept.
    progress
        Show a bar for each round of questions, and leave a line of text.

    Returns
    -------
    str or pandas.Series
        The answer; with `by` a Series of dtype string, named `answer`, a row for each group as
        pandas' `groupby` has them. Rows with a missing text are left out; a group without any
        text, or whose answer failed, is missing (NA).

    Raises
    ------
    UnknownColumn, BadTemplate
        For a column that there is not.
    BadColumns
        If the context is too short for two answers, or there is no text and no `by`.
    OllamaNbError
        If there is no server, no such model or, without `by`, no answer.

    Warns
    -----
    RowsFailed
        If groups have no answer because something went wrong.

    Examples
    --------
    >>> df.llm.agg("What is praised most?", "review", by="city")  # doctest: +SKIP
    """
    import pandas as pd

    if not isinstance(instruction, str):
        raise NotText("the instruction", instruction)
    every, index = _groups(frame, of, by)
    if index is None:
        trial = Sample.of(every[0], sample)
        groups, left = [list(trial.among(every[0]))], every if trial.others(every[0]) else []
    else:
        trial = Sample.of([texts or None for texts in every], sample, "group")
        groups, left = list(trial.among(every)), list(trial.others(every))
        index = trial.index(index)
    fields = {
        "system": system,
        "options": {"num_predict": max_tokens}
        | merged(options, temperature=temperature, seed=seed),
        "keep_alive": keep_alive,
    }
    how = {"fresh": fresh, "progress": progress}
    run = Reduction(instruction, default_model(model), fields, max_tokens, how)
    answers = run.answers(groups)
    if sample is not None and progress:
        pace = run.pace(of_full_parts=index is None)
        trial.tell(pace, run.num_questions(left), "question")
    if index is None:
        if isinstance(run.errors[0], RunStopped):
            raise Stopped("stopped; what is answered is kept: run it again for the rest")
        if run.errors[0] is not None:
            raise run.errors[0]
        return str(answers[0])
    warn_of_failures(run.errors, shown=False)
    column: pd.Series[Any] = pd.Series(
        pd.array(answers, dtype="string"), index=index, name="answer"
    )
    return column


def agg_column(series: pd.Series[Any], /, instruction: str, **how: Any) -> str | pd.Series[Any]:
    """Ask a model one thing about all texts of a column together.

    Parameters
    ----------
    instruction
        What is asked. Taken literally.
    how
        As for `df.llm.agg()`, but for `by`.

    Returns
    -------
    str
        The answer.

    Examples
    --------
    >>> df["review"].llm.agg("What do these guests complain of most?")  # doctest: +SKIP
    """
    return agg(series.to_frame("text"), instruction, "text", **how)


def _texts(frame: pd.DataFrame, of: Hashable) -> list[str | None]:
    """Return the text of each row: a column's, or what a template makes of it."""
    if of in frame.columns:
        return texts_of(frame[of])
    if isinstance(of, str) and "{{" in of:
        return prompt_texts(frame, of)
    raise UnknownColumn(str(of), list(map(str, frame.columns)))


def _groups(
    frame: pd.DataFrame, of: Hashable, by: Any
) -> tuple[list[list[str]], pd.Index[Any] | None]:
    """Return the texts of each group and what groups are called, in the order of pandas.

    Without `by` all texts are one group, which has no name.

    Raises
    ------
    BadColumns
        If they are none.
    """
    import pandas as pd

    texts = pd.Series(_texts(frame, of), index=range(len(frame)), dtype=object)
    if by is None:
        every = texts.dropna().tolist()
        if not every:
            raise BadColumns("there is no text to ask about")
        return [every], None
    rows = frame.reset_index(drop=True).groupby(by, observed=True)
    found = {name: texts.loc[group.index].dropna().tolist() for name, group in rows}
    return list(found.values()), rows.size().index
