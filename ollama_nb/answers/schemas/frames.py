"""`Generation.frame`: the JSON of an answer as a DataFrame whose columns have the schema's types.

Parsing is `json_answers`'; here are rows, columns and dtypes.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ollama_nb.answers.schemas.json_answers import as_json
from ollama_nb.answers.schemas.types import typed
from ollama_nb.errors import NotATable, NotFitting

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from ollama_nb.answers.schemas.schema import Schema
    from ollama_nb.errors import Answer

# Type of JSON Schema -> dtype that holds it, and missing values.
DTYPES = {"integer": "Int64", "number": "float64", "boolean": "boolean", "string": "string"}

MOMENTS = {"date": datetime.date, "date-time": datetime.datetime}
TYPES = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}


def as_frame(answer: Answer) -> pd.DataFrame:
    """Return the rows of an answer.

    Raises
    ------
    AnswerCut, NotJson
        As for `as_json`.
    NotATable
        If the JSON has no rows.
    NotFitting
        If a value is not of its column's type.
    """
    import pandas as pd

    definition = answer.schema.definition if answer.schema else {}
    rows, item = _rows(as_json(answer), _Definition(definition, definition))
    columns = item.properties()
    names = list(dict.fromkeys([*columns, *(name for row in rows for name in row)]))
    frame: pd.DataFrame = pd.DataFrame(rows, columns=names)
    for name, column in columns.items():
        frame[name] = _converted(frame[name], column)
    return frame


def is_object(schema: Schema) -> bool:
    """Whether an answer of this form is one object, whose fields are columns of a row."""
    definition = _Definition(schema.definition, schema.definition)
    return bool(definition.properties()) or definition.schema.get("type") == "object"


def field_names(schema: Schema) -> list[str]:
    """Return the fields that an object of this form is said to have."""
    return list(_Definition(schema.definition, schema.definition).properties())


def columns_of(
    rows: Sequence[Mapping[str, Any]], schema: Schema, name: str, index: pd.Index[Any]
) -> pd.DataFrame:
    """Return a frame with a row for each of many answers, missing where one lacks a field.

    Parameters
    ----------
    rows
        The answers' objects; of a form that is none, `{name: answer}`.
    schema
        The form of each.
    name
        What the column of such answers is called.
    index
        As long as `rows`.

    Raises
    ------
    NotFitting
        If a value is not of its column's type.
    """
    import pandas as pd

    item = _Definition(schema.definition, schema.definition)
    columns = item.properties() if is_object(schema) else {name: item}
    names = list(dict.fromkeys([*columns, *(key for row in rows for key in row)]))
    # As objects first: else an int beside something missing would lose its last digits.
    values = {key: [row.get(key) for row in rows] for key in names}
    frame: pd.DataFrame = pd.DataFrame(values, index=index, columns=names, dtype=object)
    for key, column in columns.items():
        frame[key] = _converted(frame[key], column)
    return frame


class _Definition:
    """A JSON Schema inside of another one, which its references point into."""

    def __init__(self, schema: Any, root: Mapping[str, Any]) -> None:
        self._root = root
        self.schema = self._plain(schema if isinstance(schema, Mapping) else {})

    def _plain(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """Follow a reference, and leave out that the value may be null."""
        if str(schema.get("$ref", "")).startswith("#/$defs/"):
            name = str(schema["$ref"]).removeprefix("#/$defs/")
            return self._plain(self._root.get("$defs", {}).get(name, {}))
        several = schema.get("anyOf") or schema.get("allOf") or ()
        others = [one for one in several if one != {"type": "null"}]
        return self._plain(others[0]) if len(others) == 1 else schema

    def items(self) -> _Definition:
        return _Definition(self.schema.get("items"), self._root)

    def properties(self) -> dict[str, _Definition]:
        found = self.schema.get("properties", {})
        return {name: _Definition(one, self._root) for name, one in found.items()}


def _rows(value: Any, definition: _Definition) -> tuple[list[dict[str, Any]], _Definition]:
    """Return the rows of a list, of an object's only list, or of one object, and what a row is."""
    if isinstance(value, Mapping) and len(value) == 1:
        ((name, inside),) = value.items()
        if isinstance(inside, list):
            inner = definition.properties().get(name, _Definition({}, {}))
            return _rows_of(inside, inner.items(), name)
    if isinstance(value, Mapping):
        return [dict(value)], definition
    if isinstance(value, list):
        return _rows_of(value, definition.items(), "value")
    raise NotATable(type(value).__name__)


def _rows_of(
    values: list[Any], item: _Definition, name: str
) -> tuple[list[dict[str, Any]], _Definition]:
    """Return a row for each object of a list; other values make one column of that name."""
    if all(isinstance(value, Mapping) for value in values) and (values or item.properties()):
        return [dict(value) for value in values], item
    column = _Definition({"properties": {name: item.schema}}, item._root)
    return [{name: value} for value in values], column


def _converted(column: pd.Series[Any], definition: _Definition) -> pd.Series[Any]:
    """Give a column the dtype of its schema."""
    schema = definition.schema
    try:
        if schema.get("format") in MOMENTS:
            return _moments(column, MOMENTS[schema["format"]])
        dtype: Any = DTYPES.get(_type(schema))
        return column.astype(dtype) if dtype else column
    except NotFitting as error:
        raise NotFitting([f"{column.name}: {error.problems[0]}"]) from None
    except (ValueError, TypeError, OverflowError) as error:
        cause = str(error).partition("\n")[0].partition(". ")[0]
        raise NotFitting([f"{column.name}: {cause}"]) from error


def _moments(column: pd.Series[Any], kind: type[datetime.date]) -> pd.Series[Any]:
    """Read dates or times as `.data` does; microseconds reach as far as Python's years."""
    import numpy as np
    import pandas as pd

    read = [None if pd.isna(value) else typed(kind, json.dumps(value)) for value in column]
    times = np.array([_in_utc(value) for value in read], dtype="datetime64[us]")
    series: pd.Series[Any] = pd.Series(times, index=column.index, name=column.name)
    return series.dt.tz_localize("UTC") if kind is datetime.datetime else series


def _in_utc(value: datetime.date | None) -> datetime.date | None:
    """Return a time in UTC without saying so, as numpy has it; one without a zone counts as UTC."""
    if not isinstance(value, datetime.datetime) or value.tzinfo is None:
        return value
    return value.astimezone(datetime.timezone.utc).replace(tzinfo=None)


def _type(schema: Mapping[str, Any]) -> str:
    """Return the type beside null, of the values to choose from too; empty if there are several."""
    named = schema.get("type", [])
    several = [named] if isinstance(named, str) else list(named)
    values = [schema["const"]] if "const" in schema else schema.get("enum", ())
    several = several or [TYPES.get(type(value), "") for value in values]
    others = {name for name in several if name != "null"}
    others = {"number"} if others == {"integer", "number"} else others
    return others.pop() if len(others) == 1 else ""
