"""`s.llm.extract()`: fields out of texts, each with the place where the text says it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ollama_nb.answers.schemas import wanted
from ollama_nb.answers.schemas.frames import field_names, is_object
from ollama_nb.errors import BadSchema
from ollama_nb.frames.errors import UnknownColumn
from ollama_nb.frames.generating import generate
from ollama_nb.frames.prompts import TEXT
from ollama_nb.frames.spans import has_spans, span_of
from ollama_nb.frames.texts import is_missing, texts_of

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    import pandas as pd

    from ollama_nb.answers.schemas import Schema

INSTRUCTION = (
    "Extract these fields from the text: {}. Copy values from the text word for word; use null, or "
    "an empty list, for what it does not say."
)
TEMPLATE = f"{{{{ told }}}}\n\nText:\n{{{{ {TEXT} }}}}"


def extract_column(
    series: pd.Series[Any],
    /,
    schema: Any,
    *,
    spans: bool = True,
    instruction: str | None = None,
    **how: Any,
) -> pd.DataFrame:
    """Extract fields from each text of a column, and find each value in its text.

    A value that does not stand in the text, word for word, is not returned: the model made it up.

    Parameters
    ----------
    schema
        An object of the fields, as for `ollama_nb.generate()`: `"name str|null, age int|null"`.
        With `|null` the model may say that a text does not tell.
    spans
        Return where each value stands.
    instruction
        Instead of "Extract these fields from the text ...".
    how
        As for `df.llm.generate()`: model, temperature, details, sample, and so on; not `into`.

    Returns
    -------
    pandas.DataFrame
        A column for each field, of its type in the schema, one row for each row, with its index.
        With `spans`, for a field of a text or a number also `<field>_start` and `<field>_end`
        (Int64): `text[start:end]` is the value, a text as the text has it; of several places the
        first. For a list of such `<field>_spans`, a list of pairs. Choices, booleans and objects
        are about a text without standing in it: they have no spans and are returned as they came.

    Raises
    ------
    BadSchema
        For a schema that is no object with fields.
    NotText
        For a value that is no text.

    Examples
    --------
    >>> df["review"].llm.extract("dish str|null, price float|null")  # doctest: +SKIP
    """
    import pandas as pd

    form = _form(schema)
    texts = texts_of(series)
    told = instruction or INSTRUCTION.format(", ".join(field_names(form)))
    numbered = pd.DataFrame({"told": told, TEXT: pd.Series(texts, dtype=object)})
    how = {"temperature": 0, **how}
    found = generate(numbered, TEMPLATE, schema=schema, **how)
    verified = _verified(pd.DataFrame(found), [texts[place] for place in found.index], form, spans)
    verified.index = series.index[found.index]
    return verified


def extract(frame: pd.DataFrame, /, column: Hashable, schema: Any, **how: Any) -> pd.DataFrame:
    """Extract fields from the texts of one column of a frame.

    Parameters
    ----------
    column
        Where the texts are.
    schema, how
        As for `s.llm.extract()`.

    Returns
    -------
    pandas.DataFrame
        As for `s.llm.extract()`.

    Examples
    --------
    >>> df.llm.extract("review", "dish str|null, price float|null")  # doctest: +SKIP
    """
    if column not in frame.columns:
        raise UnknownColumn(str(column), list(map(str, frame.columns)))
    return extract_column(frame[column], schema, **how)


def _form(schema: Any) -> Schema:
    """Return the form of an object that says which fields there are."""
    form = wanted(schema, None)
    if form is None or not is_object(form) or not field_names(form):
        raise BadSchema("extract wants an object with fields, such as 'name str|null, age int'")
    return form


def _verified(
    found: pd.DataFrame, texts: Sequence[str | None], form: Schema, spans: bool
) -> pd.DataFrame:
    """Return the columns with what stands in the texts, and where."""
    import pandas as pd

    fields: Mapping[str, Any] = form.definition.get("properties", {})
    columns: dict[Any, Any] = {}
    for name in found.columns:
        if name not in fields or not has_spans(fields[name], form.definition):
            columns[name] = found[name]
            continue
        pairs = zip(found[name], texts, strict=True)
        places = [_place(value, text) for value, text in pairs]
        columns[name] = _as_written(found[name], texts, places)
        if spans:
            columns |= _told(name, places, found.index)
    frame: pd.DataFrame = pd.DataFrame(columns, index=found.index)
    return frame


def _place(value: Any, text: str | None) -> Any:
    """Return where a value stands: a span or None; of a list a span or None for each."""
    if isinstance(value, list):
        return [span_of(one, text or "") for one in value]
    return None if is_missing(value) or text is None else span_of(value, text)


def _as_written(
    values: pd.Series[Any], texts: Sequence[str | None], places: Sequence[Any]
) -> pd.Series[Any]:
    """Return the values that have a place; texts as the text has them."""
    import pandas as pd

    kept = [
        _written(value, text or "", place)
        for value, text, place in zip(values, texts, places, strict=True)
    ]
    column: pd.Series[Any] = pd.Series(kept, index=values.index, dtype=object).astype(values.dtype)
    return column


def _written(value: Any, text: str, place: Any) -> Any:
    if isinstance(value, list):
        found = zip(value, place, strict=True)
        return [_written(one, text, where) for one, where in found if where]
    if place is None:
        return None
    return text[slice(*place)] if isinstance(value, str) else value


def _told(name: str, places: Sequence[Any], index: pd.Index[Any]) -> dict[str, Any]:
    """Return the columns that say where values stand."""
    import pandas as pd

    if any(isinstance(place, list) for place in places):
        spans = [[one for one in place if one] if place is not None else None for place in places]
        return {f"{name}_spans": pd.Series(spans, index=index, dtype=object)}
    ends = {"start": 0, "end": 1}
    return {
        f"{name}_{end}": pd.array(
            [None if place is None else place[which] for place in places], dtype="Int64"
        )
        for end, which in ends.items()
    }
