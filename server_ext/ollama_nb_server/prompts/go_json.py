"""JSON as Go's encoder makes it of a template's values: sorted maps, escaped angle brackets.

Owns text and numbers; which fields a value has is `go_values`' business.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ollama_nb_server.gotemplate import Struct
from ollama_nb_server.gotemplate.json_text import number, text


class Documented:
    """A value that JSON shows differently from what templates see."""

    __slots__ = ()

    def document(self) -> Any:
        """What JSON shows instead."""
        raise NotImplementedError


class Ordered(dict[str, Any]):
    """A map that JSON shows in the order of its keys, not sorted."""


def encode(value: Any) -> str:
    r"""Compact JSON, as Go's `json.Marshal` writes it.

    Raises
    ------
    ValueError
        If a number is infinite or none: JSON has no such thing.

    Examples
    --------
    >>> encode({"b": 1e6, "a": "<x>"})
    '{"a":"\\u003cx\\u003e","b":1000000}'
    """
    if isinstance(value, Documented):
        return encode(value.document())
    if isinstance(value, Struct):
        return _object(value.fields.items())
    if isinstance(value, dict):
        return _object(value.items() if isinstance(value, Ordered) else sorted(value.items()))
    if isinstance(value, list | tuple):
        return f"[{','.join(map(encode, value))}]"
    if isinstance(value, str):
        return text(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return number(value) if isinstance(value, int | float) else "null"


def _object(items: Iterable[tuple[str, Any]]) -> str:
    return "{" + ",".join(f"{text(key)}:{encode(value)}" for key, value in items) + "}"
