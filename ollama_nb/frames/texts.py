"""The texts of a column, with None for what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ollama_nb.errors import NotText

if TYPE_CHECKING:
    import pandas as pd


def texts_of(series: pd.Series[Any]) -> list[str | None]:
    """Return the texts of a column, None where one is missing.

    Raises
    ------
    NotText
        For a value that is something else.
    """
    missing = [is_missing(value) for value in series]
    for label, value, gone in zip(series.index, series, missing, strict=True):
        if not (gone or isinstance(value, str)):
            raise NotText(f"the value at {label!r}", value)
    return [None if gone else str(value) for value, gone in zip(series, missing, strict=True)]


def is_missing(value: object) -> bool:
    """Whether pandas takes a value for missing (a list or an array is a value)."""
    import pandas as pd

    return bool(pd.api.types.is_scalar(value) and pd.isna(value))  # type: ignore[call-overload]
