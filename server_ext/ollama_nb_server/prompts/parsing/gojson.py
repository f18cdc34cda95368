"""JSON texts of a model, read as Go's encoding/json reads them.

Stricter than Python (no NaN, no control letters in a text), but for halves of surrogate pairs,
which become U+FFFD. Numbers come back as they look when Go has written them again.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any, NoReturn

from ollama_nb_server.prompts.parsing.gojson_errors import complaint

BLANKS = " \t\r\n"
SURROGATE = re.compile("[\ud800-\udfff]")


def decode(text: str) -> Any:
    """The value that a text is.

    Raises
    ------
    ValueError
        If it is none, in Go's words.

    Examples
    --------
    >>> decode('{"a": 1.0, "b": 1e3, "c": 0.5}')
    {'a': 1, 'b': 1000, 'c': 0.5}
    """
    try:
        return _cleaned(DECODER.decode(text.strip(BLANKS)))
    except json.JSONDecodeError:
        raise ValueError(complaint(text)) from None
    except RecursionError:
        raise ValueError("exceeded max depth") from None


def number(text: str) -> int | float:
    """What a number is once Go has taken it for 64 bits of floating point."""
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"json: cannot unmarshal number {text} into Go value of type float64")
    if not value.is_integer() or abs(value) >= 1e21:
        return value
    return int(Decimal(repr(value)))


def _refuse(word: str) -> NoReturn:
    raise json.JSONDecodeError("no JSON", word, 0)


def _text_of(value: str) -> str:
    return SURROGATE.sub("\N{REPLACEMENT CHARACTER}", value)


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {_text_of(key): _cleaned(value) for key, value in pairs}


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return _text_of(value)
    return [_cleaned(one) for one in value] if isinstance(value, list) else value


def _integer(text: str) -> int | float:
    return int(text) if len(text) < 16 else number(text)


DECODER = json.JSONDecoder(
    parse_float=number, parse_int=_integer, parse_constant=_refuse, object_pairs_hook=_pairs
)
