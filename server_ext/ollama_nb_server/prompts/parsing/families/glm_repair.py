"""Puts tags into a GLM call of which some are missing: small quantized models forget them.

A call is key, key's end, value, value's end, over and over; what is missing is what the cycle lacks
between two tags that are there. Source: reference/ollama-models.md 7.5.
"""

from __future__ import annotations

import re

CYCLE = ("<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>")
TAG = re.compile("</?arg_(?:key|value)>")
NAME_AND_KEY = re.compile(r"(\S*)(\s+)(.*)", re.DOTALL)


def repaired(text: str) -> str:
    """A text whose tags go round in the cycle.

    Examples
    --------
    >>> repaired("f<arg_key>a</arg_key>1</arg_value>")
    'f<arg_key>a</arg_key><arg_value>1</arg_value>'
    >>> repaired("f a</arg_key><arg_value>1")
    'f<arg_key>a</arg_key><arg_value>1</arg_value>'
    """
    first = TAG.search(text)
    if first is None:
        return text
    walk = _Walk()
    walk.begin(text[: first.start()], first.group())
    at = first.start()
    for found in TAG.finditer(text, at):
        walk.meet(text[at : found.start()], found.group())
        at = found.end()
    return walk.end(text[at:])


class _Walk:
    def __init__(self) -> None:
        self._written: list[str] = []
        self._next = 0  # which tag of the cycle comes next

    def begin(self, name: str, tag: str) -> None:
        """The name; a key behind it whose tag is missing is told by a blank."""
        parts = NAME_AND_KEY.fullmatch(name)
        if tag != CYCLE[0] and parts is not None:
            self._written.append(parts.group(1))
            self._write()
            name = parts.group(3)
        self._written.append(name)

    def meet(self, text: str, tag: str) -> None:
        """A tag, and the text before it."""
        met = CYCLE.index(tag)
        if text and self._next != met and self._opening():
            self._write()
            self._written.append(text)
            text = ""
        while self._next != met:
            if text and not self._opening() and (self._next + 1) % len(CYCLE) == met:
                self._written.append(text)
                text = ""
            self._write()
        self._written.append(text)
        self._write()

    def end(self, text: str) -> str:
        """The whole; a text behind a closing tag belongs to nothing."""
        if text and not self._opening():
            self._written.append(text)
            self._write()
        while self._next:
            self._write()
        return "".join(self._written)

    def _opening(self) -> bool:
        return self._next % 2 == 0

    def _write(self) -> None:
        self._written.append(CYCLE[self._next])
        self._next = (self._next + 1) % len(CYCLE)
