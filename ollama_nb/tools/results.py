"""What a model is told that a function returned: text, JSON, or the first rows of a table."""

from __future__ import annotations

import sys
from typing import Any

MAX_CHARS = 8_000  # about 2,000 tokens, half of a usual context
MAX_ROWS = 20


def in_words(result: Any) -> str:
    """Return a result as text.

    Text stays as it is, tables are CSV with their shape, all else is JSON, or what `str` makes of
    it where JSON has no form. What is longer than 8,000 letters is cut, and says so.

    Examples
    --------
    >>> in_words({"mean": 36.5}), in_words(None)
    ('{"mean":36.5}', 'null')
    """
    text = result if isinstance(result, str) else _table(result) or _json(result)
    if len(text) <= MAX_CHARS:
        return str(text)
    return f"{text[:MAX_CHARS]}\n(cut: the first {MAX_CHARS:,} of {len(text):,} letters)"


def _table(result: Any) -> str | None:
    """Return the head of a DataFrame or a Series as CSV, its index as the first column."""
    pandas = sys.modules.get("pandas")
    if pandas is None or not isinstance(result, pandas.DataFrame | pandas.Series):
        return None
    num_rows = len(result)
    if isinstance(result, pandas.Series):
        what = f"{num_rows:,} values"
    else:
        what = f"{num_rows:,} rows, {result.shape[1]:,} columns"
    head = "" if num_rows <= MAX_ROWS else f"; the first {MAX_ROWS}"
    return f"{what}{head}:\n{result.head(MAX_ROWS).to_csv().rstrip()}"


def _json(result: Any) -> str:
    from pydantic_core import to_json

    try:
        return to_json(result, fallback=_as_data, inf_nan_mode="constants").decode()
    except ValueError:  # it holds itself, or is no text
        return str(result)


def _as_data(value: Any) -> Any:
    """Return what JSON can write of a value that it has no form for: NumPy's are Python's."""
    numpy = sys.modules.get("numpy")
    if numpy and isinstance(value, numpy.ndarray | numpy.generic):
        return value.tolist()
    table = _table(value)
    return str(value) if table is None else table
