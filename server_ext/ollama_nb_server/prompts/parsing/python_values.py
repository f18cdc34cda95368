"""Pieces of Python calls: `f(a="x", b=[1, 2])`, as models write them, JSON's words among them."""

from __future__ import annotations

import re
from typing import Any

from ollama_nb_server.prompts.parsing import gojson

QUOTES = "\"'"
WORDS = {"true": True, "True": True, "false": False, "False": False, "null": None, "None": None}
INTEGER = re.compile(r"[+-]?[0-9]+", re.ASCII)
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", re.ASCII)
# A whole text in quotes, or one letter.
PIECE = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|.", re.DOTALL)
ESCAPE = re.compile(r"\\([\\\"'ntr])")
ESCAPED = {"n": "\n", "t": "\t", "r": "\r"}
MISSING = object()


def split(text: str, separator: str = ",") -> list[str]:
    """A text cut at the separators that stand in no brackets and no quotes.

    Examples
    --------
    >>> split("a=[1, 2], b='x, y'")
    ['a=[1, 2]', " b='x, y'"]
    """
    parts, start, depth = [], 0, 0
    for found in PIECE.finditer(text):
        piece = found.group()
        if piece in "([{":
            depth += 1
        elif piece in ")]}":
            depth -= 1
        elif piece == separator and depth == 0:
            parts.append(text[start : found.start()])
            start = found.end()
    return [*parts, text[start:]] if text[start:] else parts


def closing(text: str, at: int) -> int:
    """Where the parenthesis closes that opens before a place, -1 if it does not."""
    depth = 1
    for found in PIECE.finditer(text, at):
        depth += (found.group() == "(") - (found.group() == ")")
        if depth == 0:
            return found.start()
    return -1


def open_quote(text: str) -> bool:
    """Whether a text ends within quotes."""
    return any(found.group() in QUOTES for found in PIECE.finditer(text))


def word_or_number(text: str) -> Any:
    """The value of a word or number, MISSING if it is none."""
    if text in WORDS:
        return WORDS[text]
    if INTEGER.fullmatch(text) and -(2**63) <= int(text) < 2**63:
        return int(text)
    return gojson.number(text) if NUMBER.fullmatch(text) else MISSING


def is_quoted(text: str) -> bool:
    """Whether a text stands in quotes of one kind."""
    return len(text) > 1 and text[0] in QUOTES and text[-1] == text[0]


def unescaped(text: str) -> str:
    """A text without its escapes."""
    return ESCAPE.sub(lambda found: ESCAPED.get(found.group(1), found.group(1)), text)


def of_json(text: str) -> Any:
    """The value that a JSON text is, MISSING if it is none."""
    try:
        return gojson.decode(text)
    except ValueError:
        return MISSING
