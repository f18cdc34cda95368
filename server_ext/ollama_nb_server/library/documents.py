"""JSON documents of the store as values; what is wrong with one that is none, in a user's words."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ollama_nb_server.library import gojson
from ollama_nb_server.library.digests import GRAMMAR as DIGEST

MAX_DIGITS = 300  # of a number: Go knows none that are larger
MAX_COUNT = (1 << 63) - 1
SURROGATE = re.compile("[\ud800-\udfff]")


def parsed(data: bytes) -> Any:
    """JSON as Go reads it: broken letters and half surrogate pairs become U+FFFD, NaN is none.

    Raises
    ------
    ValueError
        If it is none; the text says why.
    """
    text = data.decode("utf-8", "replace")
    try:
        value = DECODER.decode(text)
        return json.loads(gojson.encode(value)) if "\\ud" in text.casefold() else value
    except (ValueError, RecursionError) as error:
        raise ValueError(why(error)) from error


def why(error: ValueError | RecursionError) -> str:
    """What is wrong with a text that is no JSON."""
    if isinstance(error, json.JSONDecodeError):
        return f"line {error.lineno}, column {error.colno} is no JSON"
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)


def integer(digits: str) -> int:
    """A number's digits as Go reads them: not without end.

    Raises
    ------
    ValueError
    """
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"the number {digits:.20}... is too large")
    return int(digits)


def _constant(word: str) -> Any:
    raise ValueError(f"{word} is no number in JSON")


DECODER = json.JSONDecoder(parse_int=integer, parse_constant=_constant)


# --- what a field must be -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Kind:
    """What a value must be: in words, and as a test."""

    words: str
    fits: Callable[[Any], bool]


def _is_text(value: Any) -> bool:
    """A text without half a surrogate pair, which JSON can hold and UTF-8 cannot."""
    return isinstance(value, str) and (value.isascii() or SURROGATE.search(value) is None)


def _are_texts(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(map(_is_text, value))


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value <= MAX_COUNT


def _is_digest(value: Any) -> bool:
    return isinstance(value, str) and DIGEST.fullmatch(value) is not None


TEXT = Kind("a text", _is_text)
TEXTS = Kind("a list of texts", _are_texts)
COUNT = Kind("a whole number from 0 on", _is_count)
OBJECT = Kind("an object", lambda value: isinstance(value, dict))
LIST = Kind("a list", lambda value: isinstance(value, list))
A_DIGEST = Kind("`sha256:` and 64 hexadecimal digits", _is_digest)


def required(value: Any, kind: Kind, name: str) -> Any:
    """The value, if it is what it must be.

    Raises
    ------
    ValueError
        If it is not; the text says what must be what.
    """
    if not kind.fits(value):
        raise ValueError(f"{name} must be {kind.words}")
    return value


def field(document: Mapping[str, Any], name: str, kind: Kind, default: Any = None) -> Any:
    """A field of an object; one that is missing or null is the default, if there is one."""
    value = document.get(name)
    return required(default if value is None else value, kind, f'"{name}"')
