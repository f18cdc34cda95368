"""Arguments that stand in tags: a text and its parameter's schema tell which value is meant.

Source: reference/ollama-models.md 7.5, "Typed values".
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from ollama_nb_server.prompts.parsing import gojson

MISSING = object()
WORDS = {"true": True, "false": False}
INTEGER = re.compile(r"[+-]?[0-9]+", re.ASCII)
NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?", re.ASCII)


def typed(text: str, schema: Mapping[str, Any]) -> Any:
    """The value that a text is for a parameter of this schema.

    Examples
    --------
    >>> typed("12", {"type": "integer"}), typed("12", {"type": "string"}), typed("12", {})
    (12, '12', '12')
    """
    if text.lower() == "null":
        return None
    kinds = types_of(schema)
    for kind, read in READERS.items():
        if kind in kinds:
            value = read(text)
            if value is not MISSING:
                return value
            if len(kinds) == 1:
                return False if kind == "boolean" else text
    return text


def types_of(schema: Mapping[str, Any]) -> list[str]:
    """The types that a schema names, those of its `anyOf` if it has one."""
    union = schema.get("anyOf")
    if isinstance(union, list) and union:
        return [kind for one in union if isinstance(one, dict) for kind in types_of(one)]
    kind = schema.get("type")
    return [kind] if isinstance(kind, str) and kind else list(kind or ())


def _boolean(text: str) -> Any:
    return WORDS.get(text.lower(), MISSING)


def _integer(text: str) -> Any:
    if not INTEGER.fullmatch(text) or len(text) > 20:
        return MISSING
    value = int(text)
    return value if -(2**63) <= value < 2**63 else MISSING


def _number(text: str) -> Any:
    if not NUMBER.fullmatch(text):
        return MISSING
    value = float(text)
    if not math.isfinite(value):
        return MISSING
    return int(value) if value.is_integer() and abs(value) < 2**63 else value


def _json(kind: type) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        try:
            value = gojson.decode(text)
        except ValueError:
            return MISSING
        return value if isinstance(value, kind | None) else MISSING  # Go leaves null as it is

    return read


# In the order in which they are tried.
READERS: Mapping[str, Callable[[str], Any]] = {
    "boolean": _boolean,
    "integer": _integer,
    "number": _number,
    "array": _json(list),
    "object": _json(dict),
}
