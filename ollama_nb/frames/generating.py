"""`df.llm.generate()`: a prompt of each row, an answer into each row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ollama_nb.answers.schemas import wanted
from ollama_nb.asking.generating import merged
from ollama_nb.asking.many import IN_FLIGHT
from ollama_nb.asking.request import Request
from ollama_nb.asking.thinking import thinking_of
from ollama_nb.errors import OllamaNbError
from ollama_nb.frames.columns import (
    ANSWER,
    beside,
    new_names,
    text_column,
    typed_columns,
    with_details,
)
from ollama_nb.frames.prompts import TEXT, Prompt, prompts_of
from ollama_nb.frames.running import answer_rows, num_open, pace_of, warn_of_failures
from ollama_nb.frames.sampling import Sample
from ollama_nb.managing.catalogue import default_model

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from ollama_nb.answers.schemas import Schema


def generate(
    frame: pd.DataFrame,
    template: str,
    *,
    model: str | None = None,
    schema: Any = None,
    format: Mapping[str, Any] | str | None = None,
    schema_in_prompt: bool | None = None,
    into: str | Sequence[str] | None = None,
    system: str | None = None,
    temperature: float | None = None,
    seed: int | None = None,
    options: Mapping[str, Any] | None = None,
    think: bool | str | None = None,
    think_budget: int | None = None,
    keep_alive: float | str | None = None,
    sample: int | None = None,
    details: bool = False,
    fresh: bool = False,
    in_flight: int = IN_FLIGHT,
    progress: bool = True,
) -> pd.DataFrame | pd.Series[Any]:
    """Ask a model about each row, many rows at a time, and return the answers in columns.

    Each answer is kept on disk as soon as it is finished: run again, after Ctrl-C, a crash or a
    change of other cells, only the rest is computed. Equal prompts are asked once.

    Parameters
    ----------
    template
        A prompt with columns in it: `"Is this kind? {{ review }}"`. A column whose name cannot be
        a variable's is written with `_`: "review text" is `{{ review_text }}`.
    model, temperature, seed, options, think, think_budget, keep_alive
        As for `ollama_nb.generate()`.
    schema, format, schema_in_prompt
        As for `ollama_nb.generate()`: each field becomes a column.
    into
        The name of the column, or a list of names for the columns of a schema: a copy of the
        frame with them is returned. Without it, the answers alone are.
    system
        Replaces the model's system text; may have columns in it.
    sample
        Try only so many rows, spread over the frame, and say how long all would take. They are
        kept too.
    details
        Add columns `_error` (text; why a row has no answer), `_tokens` (of the answer) and
        `_seconds` (from the question to the answer, when it was asked). Texts that Ctrl-C leaves
        unfinished are in the answers then, as far as they came; their `_error` says "interrupted".
    fresh
        Ask all rows anew, whatever is kept.
    in_flight
        How many rows are asked at the same time; a server computes together what it has slots for.
    progress
        Show a bar while rows are asked, and leave a line of text.

    Returns
    -------
    pandas.Series or pandas.DataFrame
        Without `schema` a Series of dtype string, named `answer`; with it a DataFrame with a
        column for each field (int is Int64, bool boolean, str string, float float64, dates
        datetime64), or one column `answer` if the form is no object. With `details` a DataFrame.
        One row for each row, with its index. Missing (NA) where a column of the template is
        missing, where a row failed, and, after Ctrl-C, where a row was not finished.

    Raises
    ------
    UnknownColumn, NoColumn
        For a template with a name that is no column's, or with none.
    BadColumns
        If `into` has not as many names as there are columns.
    BadSchema, BadThinking, UnknownOption
        If an argument cannot be sent.
    OllamaNbError
        If there is no server or no such model, and no row has an answer yet.

    Warns
    -----
    RowsFailed
        If rows have no answer because something went wrong.

    Examples
    --------
    >>> df.llm.generate("Translate into French: {{ text }}")  # doctest: +SKIP
    >>> df.llm.generate("Judge: {{ text }}", schema="stars 1|2|3, kind bool")  # doctest: +SKIP
    """
    form = wanted(schema, format, schema_in_prompt)
    names = {} if into is None else new_names(into, form)
    thinking = thinking_of(think, think_budget)
    chosen = default_model(model)
    fields = {
        "options": merged(options, temperature=temperature, seed=seed),
        "think": thinking.think,
        "keep_alive": keep_alive,
    }
    questions = [
        _question(prompt, chosen, fields, form, thinking.extensions)
        for prompt in prompts_of(frame, template, system)
    ]
    trial = Sample.of(questions, sample)
    frame = trial.rows(frame)
    has_beginnings = details and form is None  # else no column could hold, or mark, one
    rows = answer_rows(
        trial.among(questions),
        chosen,
        fresh=fresh,
        in_flight=in_flight,
        streamed=has_beginnings,
        progress=progress,
    )
    if sample is not None and progress:
        trial.tell(pace_of(rows), num_open(questions, chosen))
    columns = (
        text_column(rows, frame.index, beginnings=has_beginnings)
        if form is None
        else typed_columns(rows, form, frame.index)
    )
    warn_of_failures(columns.errors, shown=details)
    values = with_details(columns, rows) if details else columns.values
    if names:
        return beside(frame, values.rename(columns=names))
    return values[ANSWER] if form is None and not details else values


def generate_column(
    series: pd.Series[Any], /, template: str | None = None, **how: Any
) -> pd.DataFrame | pd.Series[Any]:
    """Ask a model about each value of a column.

    Parameters
    ----------
    template
        A prompt with `{{ text }}` for the value; the column's own name means it too. Without a
        template the value itself is the prompt.
    how
        As for `df.llm.generate()`: model, schema, into, system, sample, details, and so on.
        `into` only names the result.

    Returns
    -------
    pandas.Series or pandas.DataFrame
        As for `df.llm.generate()`.

    Examples
    --------
    >>> df["review"].llm.generate("In one word: {{ text }}")  # doctest: +SKIP
    """
    frame = as_frame(series)
    into = how.pop("into", None)
    names = {} if into is None else new_names(into, wanted(how.get("schema"), how.get("format")))
    answers: Any = generate(frame, "{{ text }}" if template is None else template, **how)
    is_column = answers.ndim == 1
    named: pd.DataFrame | pd.Series[Any] = (
        answers.rename(names.get(ANSWER, ANSWER)) if is_column else answers.rename(columns=names)
    )
    return named


def as_frame(series: pd.Series[Any]) -> pd.DataFrame:
    """Return a column as a frame whose templates know it as `text`, and by its own name."""
    frame = series.to_frame(TEXT)
    if series.name is not None and str(series.name) != TEXT:
        frame[str(series.name)] = series.array
    return frame


def _question(
    prompt: Prompt | OllamaNbError | None,
    model: str,
    fields: Mapping[str, Any],
    form: Schema | None,
    extensions: Mapping[str, Any],
) -> Request | OllamaNbError | None:
    """Return what a row sends."""
    if not isinstance(prompt, Prompt):
        return prompt
    system = {} if prompt.system is None else {"system": prompt.system.text}
    images = {"images": list(prompt.prompt.images)} if prompt.prompt.images else {}
    sent = {"prompt": prompt.prompt.text, **fields, **system, **images}
    return Request("generate", model, sent, form, extensions)
