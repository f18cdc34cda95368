"""Where in a text a value stands: what is not there, word for word, was not extracted.

Letters count, their case and the kind of blanks between words do not: a value that differs only in
these is taken over as the text has it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

NOT_LITERAL = ("enum", "const", "format")  # a choice, or a date that is written in another way

Span = tuple[int, int]


def span_of(value: object, text: str) -> Span | None:
    """Return start and end of the first place where a text or a number stands in a text.

    Examples
    --------
    >>> span_of("green tea", "Black and Green  tea, please")
    (10, 20)
    >>> span_of(3, "13 cups, 3 of them full"), span_of("coffee", "Black tea")
    ((9, 10), None)
    """
    pattern = _number(value) if isinstance(value, int | float) else _words(str(value))
    if not pattern:
        return None
    found = re.search(pattern, text) or re.search(pattern, text, re.IGNORECASE)
    return found.span() if found else None


def _number(value: float) -> str:
    """Return what finds a number: with or without zeros behind the point, and thousands' commas."""
    whole, _, rest = str(value).partition(".")
    if "e" in rest or not whole.lstrip("-").isdigit():
        return ""
    grouped = rf"(?:{re.escape(whole)}|{re.escape(f'{int(whole):,}')})"
    behind = rf"\.{rest}0*" if rest.strip("0") else r"(?:\.0+)?"
    return rf"(?<![\w.,]){grouped}{behind}(?!\w|[.,]\d)"


def _words(value: str) -> str:
    """Return what finds a text that is not a part of a longer word."""
    words = value.split()
    if not words:
        return ""
    before = r"(?<!\w)" if words[0][0].isalnum() else ""
    after = r"(?!\w)" if words[-1][-1].isalnum() else ""
    return before + r"\s+".join(map(re.escape, words)) + after


def has_spans(field: Mapping[str, Any], root: Mapping[str, Any]) -> bool:
    """Whether a schema's values are texts or numbers that a text holds, or lists of such.

    Not a choice of given values, a date, yes or no, an object: these say something of a text
    without standing in it.
    """
    plain = _resolved(field, root)
    if any(name in plain for name in NOT_LITERAL):
        return False
    options = plain.get("anyOf") or plain.get("oneOf")
    if options:
        told = [one for one in options if _resolved(one, root).get("type") != "null"]
        return bool(told) and all(has_spans(one, root) for one in told)
    kinds = plain.get("type")
    kinds = {kinds} if isinstance(kinds, str) else set(kinds or ())
    if "array" in kinds:
        return has_spans(plain.get("items") or {}, root)
    return bool(kinds - {"null"}) and kinds <= {"string", "integer", "number", "null"}


def _resolved(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow references into the definitions."""
    while str(schema.get("$ref", "")).startswith("#/$defs/"):
        schema = root.get("$defs", {}).get(str(schema["$ref"]).removeprefix("#/$defs/"), {})
    return schema
