"""From the answers of rows to columns: typed by the schema, missing where a row has none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ollama_nb.answers.generation import Generation
from ollama_nb.answers.schemas.frames import columns_of, field_names, is_object
from ollama_nb.answers.schemas.json_answers import as_json
from ollama_nb.errors import NotFitting, OllamaNbError
from ollama_nb.frames.errors import BadColumns

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from ollama_nb.answers.schemas import Schema
    from ollama_nb.cache.rows import KeptAnswer
    from ollama_nb.frames.running import RowAnswer

ANSWER = "answer"


@dataclass(slots=True)
class Columns:
    """What rows have answered: the values, and an error for each row that has none."""

    values: pd.DataFrame
    errors: list[OllamaNbError | None] = field(default_factory=list)


def text_column(
    rows: Sequence[RowAnswer], index: pd.Index[Any], *, beginnings: bool = False
) -> Columns:
    """Return the answers as one column of text, with beginnings of unfinished ones or without."""
    import pandas as pd

    texts = [_text(row, beginnings=beginnings) for row in rows]
    frame = pd.DataFrame({ANSWER: pd.array(texts, dtype="string")}, index=index)
    return Columns(frame, [row.error for row in rows])


def _text(row: RowAnswer, *, beginnings: bool) -> str | None:
    if row.answer is not None:
        return row.answer.text
    return row.beginning.text or None if beginnings and row.beginning is not None else None


def typed_columns(rows: Sequence[RowAnswer], schema: Schema, index: pd.Index[Any]) -> Columns:
    """Return the fields of answers as columns, each of its type in the schema.

    An answer that is cut, no JSON, or of another form is an error of its row alone.
    """
    errors = [row.error for row in rows]
    fields: list[Mapping[str, Any]] = [{} for _ in rows]
    for place, row in enumerate(rows):
        try:
            fields[place] = {} if row.answer is None else _fields(row.answer, schema)
        except OllamaNbError as error:
            errors[place] = error
    return Columns(_converted(fields, schema, index, errors), errors)


def _fields(kept: KeptAnswer, schema: Schema) -> Mapping[str, Any]:
    answer = Generation(kept.text, done_reason=kept.done_reason, schema=schema)
    value = as_json(answer)
    if not is_object(schema):
        return {ANSWER: value}
    if not isinstance(value, Mapping):
        raise NotFitting([f"{type(value).__name__} instead of an object"])
    return value


def _converted(
    fields: list[Mapping[str, Any]],
    schema: Schema,
    index: pd.Index[Any],
    errors: list[OllamaNbError | None],
) -> pd.DataFrame:
    """Convert all rows at once; if one does not fit, find out which ones do not."""
    try:
        return columns_of(fields, schema, ANSWER, index)
    except NotFitting:
        for place, row in enumerate(fields):
            try:
                columns_of([row], schema, ANSWER, index[:1])
            except NotFitting as error:
                fields[place], errors[place] = {}, error
        return columns_of(fields, schema, ANSWER, index)


def with_details(columns: Columns, rows: Sequence[RowAnswer]) -> pd.DataFrame:
    """Return the values with `_error`, `_tokens` (of the answer) and `_seconds` of each row."""
    import pandas as pd

    said = [None if error is None else str(error) for error in columns.errors]
    known = [row.answer or row.beginning for row in rows]
    tokens = [None if answer is None else answer.answer_tokens for answer in known]
    seconds = [None if answer is None else answer.seconds for answer in known]
    details = {
        "_error": pd.array(said, dtype="string"),
        "_tokens": pd.array(tokens, dtype="Int64"),
        "_seconds": pd.array(seconds, dtype="Float64"),
    }
    frame: pd.DataFrame = columns.values.assign(**details)
    return frame


def new_names(into: str | Sequence[str], schema: Schema | None) -> dict[Any, str]:
    """Return what `into` calls each column that the answers of a form have.

    Raises
    ------
    BadColumns
        If it has not a name for each.
    """
    names = [into] if isinstance(into, str) else list(into)
    fields = [ANSWER] if schema is None or not is_object(schema) else field_names(schema)
    if not fields:
        raise BadColumns("into names columns, and this form does not say which there are")
    if len(names) != len(fields):
        told = "column is" if len(fields) == 1 else "columns are"
        raise BadColumns(
            f"into has {len(names)} of {len(fields)} names: the {told} {', '.join(fields)}"
        )
    return dict(zip(fields, names, strict=True))


def beside(frame: pd.DataFrame, values: pd.DataFrame) -> pd.DataFrame:
    """Return a copy of a frame with these columns; one of the same name is replaced."""
    together: pd.DataFrame = frame.copy()
    for name in values:
        together[name] = values[name].array
    return together
