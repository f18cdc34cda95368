"""Mends the quotes of a Gemma call's arguments: ways in which small models break them.

Source: reference/ollama-models.md 7.5.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ollama_nb_server.prompts.parsing.sections import BLANKS
from ollama_nb_server.prompts.parsing.values import types_of

QUOTE = '<|"|>'
TEXT, JSON_TEXT = r"<\|\"\|>.*?(?:<\|\"\|>|\Z)", r"\"(?:[^\"\\]|\\.)*\""
SINGLE_QUOTED = re.compile(
    rf"{TEXT}|{JSON_TEXT}|(?P<colon>:\s*)'(?P<value>(?:[^'\\]|\\.)*)'(?:<\|\"\|>)?", re.DOTALL
)
NEXT_KEY = re.compile(r",\s*(\w+)\s*:")
VALUE_BEGINS = re.compile(r"\s*(?:<\|\"\|>|['\"{\[\-0-9tfn])")


def candidates(text: str, properties: Mapping[str, Any]) -> Iterator[str]:
    """What a broken text may have meant, the likeliest first."""
    mended = with_closed_text(with_own_quotes(text))
    yield with_closed_object(mended) if mended != text else text
    if (quoted := with_quoted_value(text, properties)) is not None:
        yield with_closed_object(with_closed_text(with_own_quotes(quoted)))


def with_own_quotes(text: str) -> str:
    """Single quotes around a value as the family's own.

    Examples
    --------
    >>> with_own_quotes("{a:'x',b:1}")
    '{a:<|"|>x<|"|>,b:1}'
    """
    return SINGLE_QUOTED.sub(
        lambda found: (
            found.group()
            if found.group("colon") is None
            else f"{found.group('colon')}{QUOTE}{found.group('value')}{QUOTE}"
        ),
        text,
    )


def with_closed_text(text: str) -> str:
    """The quote added that is missing before the last bracket."""
    if text.count(QUOTE) % 2 == 0:
        return text
    at = len(text.rstrip(BLANKS))
    at -= text[at - 1 : at] in ("}", "]")
    return text[:at] + QUOTE + text[at:]


def with_closed_object(text: str) -> str:
    """The last brace added if it is missing."""
    end = text.rstrip(BLANKS)
    if not text.lstrip(BLANKS).startswith("{") or end.endswith("}"):
        return text
    return f"{end}}}{text[len(end) :]}"


def with_quoted_value(text: str, properties: Mapping[str, Any]) -> str | None:
    """The bare value of an argument that is a text in quotes; None if there is none."""
    for key, schema in properties.items():
        if "string" not in map(str.lower, types_of(schema if isinstance(schema, dict) else {})):
            continue
        if (start := _bare_value(text, key)) is not None:
            end = _value_end(text, start, properties)
            return f"{text[:start]}{QUOTE}{text[start:end]}{QUOTE}{text[end:]}"
    return None


def _bare_value(text: str, key: str) -> int | None:
    """Where a value begins that is neither quoted nor JSON."""
    head = re.compile(rf"{TEXT}|{JSON_TEXT}|(?P<key>[{{,]\s*{re.escape(key)}\s*:)", re.DOTALL)
    for found in head.finditer(text):
        if found.group("key") and not VALUE_BEGINS.match(text, found.end()):
            return found.end()
    return None


def _value_end(text: str, start: int, properties: Mapping[str, Any]) -> int:
    for found in NEXT_KEY.finditer(text, start):
        if found.group(1) in properties:
            return found.start()
    end = len(text.rstrip(BLANKS))
    return end - 1 if end > start and text[end - 1] == "}" else len(text)
