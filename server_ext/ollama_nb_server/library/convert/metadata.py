"""Values of a GGUF file's header, each with its type in the file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gguf import GGUFValueType as T


@dataclass(frozen=True, slots=True)
class Value:
    """A value, its type, and for an array the type of its items."""

    value: Any
    kind: T
    items: T | None = None


Metadata = dict[str, Value]


def u32(value: int) -> Value:
    """A count."""
    return Value(value, T.UINT32)


def f32(value: float) -> Value:
    """A number."""
    return Value(value, T.FLOAT32)


def flag(value: bool) -> Value:
    """Yes or no."""
    return Value(value, T.BOOL)


def text(value: str) -> Value:
    """A text."""
    return Value(value, T.STRING)


def texts(values: Sequence[str | bytes]) -> Value:
    """Texts; bytes are taken as UTF-8."""
    return Value(values, T.ARRAY, T.STRING)


def whole(values: Sequence[int]) -> Value:
    """Whole numbers, which may be negative."""
    return Value(values, T.ARRAY, T.INT32)


def floats(values: Sequence[float]) -> Value:
    """Numbers."""
    return Value(values, T.ARRAY, T.FLOAT32)
