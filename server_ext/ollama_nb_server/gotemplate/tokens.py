"""The pieces of a template's text: what kinds there are, and how errors show one."""

from __future__ import annotations

from enum import Enum, auto
from typing import Final, NamedTuple

from ollama_nb_server.gotemplate.nodes import Position
from ollama_nb_server.gotemplate.quoting import num_bytes, quote


class Kind(Enum):
    """What a token is."""

    ERROR = auto()
    EOF = auto()
    TEXT = auto()
    LEFT_DELIM = auto()
    RIGHT_DELIM = auto()
    SPACE = auto()
    LEFT_PAREN = auto()
    RIGHT_PAREN = auto()
    PIPE = auto()
    DECLARE = auto()
    ASSIGN = auto()
    CHAR = auto()
    BOOL = auto()
    CHAR_CONSTANT = auto()
    NUMBER = auto()
    COMPLEX = auto()
    STRING = auto()
    FIELD = auto()
    VARIABLE = auto()
    IDENTIFIER = auto()
    DOT = auto()
    NIL = auto()
    BLOCK = auto()
    BREAK = auto()
    CONTINUE = auto()
    DEFINE = auto()
    ELSE = auto()
    END = auto()
    IF = auto()
    RANGE = auto()
    TEMPLATE = auto()
    WITH = auto()


KEYWORDS: Final = {
    kind.name.lower(): kind
    for kind in (
        Kind.BLOCK, Kind.BREAK, Kind.CONTINUE, Kind.DEFINE, Kind.ELSE, Kind.END, Kind.IF, Kind.NIL,
        Kind.RANGE, Kind.TEMPLATE, Kind.WITH,
    )
}  # fmt: skip
_IN_BRACKETS: Final = {*KEYWORDS.values(), Kind.DOT}
_LONGEST_SHOWN = 10  # bytes of a token that an error shows whole, in Go


class Token(NamedTuple):
    """A piece of the text; for an error, what is wrong."""

    kind: Kind
    text: str
    position: Position

    def __str__(self) -> str:
        """As Go shows it in errors."""
        if self.kind is Kind.EOF:
            return "EOF"
        if self.kind is Kind.ERROR:
            return self.text
        if self.kind in _IN_BRACKETS:
            return f"<{self.text}>"
        if num_bytes(self.text) > _LONGEST_SHOWN:
            return f"{quote(self.text[:_LONGEST_SHOWN])}..."
        return quote(self.text)
