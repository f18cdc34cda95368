"""JSON values in a text that has more in it: where one ends, and those that stand in a row."""

from __future__ import annotations

import json
import re
from typing import Any

from ollama_nb_server.prompts.parsing.sections import CallBroken

# A string, closed or not yet, or a bracket. It never fails behind a quote: that would cost time.
COUNTED = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[{}\[\]]', re.DOTALL)
BETWEEN = re.compile(r"[\s,;]*")


def value_end(text: str, at: int = 0) -> int:
    """Behind the first object or list from `at` on; 0 while it is not whole.

    Examples
    --------
    >>> value_end('[{"a": "]"}] and'), value_end('[{"a": "]"}')
    (12, 0)
    """
    depth = 0
    for found in COUNTED.finditer(text, at):
        letter = found.group()
        if letter[0] == '"':  # one that is not closed goes on to the end
            continue
        if letter in "{[":
            depth += 1
        else:
            depth -= 1
            if depth <= 0:
                return found.end()
    return 0


def may_end(text: str, since: int) -> bool:
    """Whether a value may end in what has come since: not before it is worth to look again."""
    return text.find("}", since) >= 0 or text.find("]", since) >= 0


def value_at(text: str, at: int) -> tuple[Any, int]:
    """The value at a place, and the place behind it.

    Raises
    ------
    CallBroken
        If there is none; `incomplete` if the text ends in the middle of one.
    """
    try:
        return DECODER.raw_decode(text, at)
    except (ValueError, RecursionError) as error:
        reason = f"failed to parse JSON: {error}"
        raise CallBroken(reason, incomplete=not value_end(text, at)) from error


def values(text: str) -> list[Any]:
    """The values of a text, one behind the other; blanks, commas and semicolons may stand between.

    Raises
    ------
    CallBroken
        If there is anything else in it.
    """
    found = []
    at = _next(text, 0)
    while at < len(text):
        value, at = value_at(text, at)
        found.append(value)
        at = _next(text, at)
    return found


def _next(text: str, at: int) -> int:
    between = BETWEEN.match(text, at)
    return between.end() if between else at


def _no_json(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key twice, of which one would be lost")
    return found


DECODER = json.JSONDecoder(strict=False, parse_constant=_no_json, object_pairs_hook=_object)
