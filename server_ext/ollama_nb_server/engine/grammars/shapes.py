"""What calls look like, from the documents of a request to llguidance's notation (a Lark dialect).

A document is one of `{"text": T}`, `{"tag": T}` (the special token of that text, else its letters),
`{"json": schema, "label": whose}`, `{"until": T}` (any text in which T does not occur, and T),
`{"sequence": [...]}`, `{"choice": [...]}`, `{"repeat": ..., "separator": T, "least": n, "most": n}`
(`most` 0: any number). JSON is compiled as `format` is: see `compiling`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson

from ollama_nb_server.engine.errors import GrammarRefused
from ollama_nb_server.engine.native import NO_TOKEN

ABOUT = "tools"  # what is refused as a whole


@dataclass(frozen=True, slots=True)
class JsonPart:
    """A schema within a shape, and what a request calls it."""

    schema: Any
    label: str


@dataclass(slots=True)
class ShapeGrammar:
    """Rules for `call` and `loose`, those they need, and the schemas: @json0, @json1, ..."""

    rules: list[str] = field(default_factory=list)
    parts: list[JsonPart] = field(default_factory=list)

    @property
    def lark(self) -> str:
        """All rules but that of the start."""
        return "\n".join([*self.rules, ""])


def shape_grammar(text: str, special: Callable[[str], int], loose: str = "") -> ShapeGrammar:
    """The grammar of a document, and of a second one; `special` tells tokens of tags.

    Raises
    ------
    GrammarRefused
        If it is no such document.
    """
    writer = _Writer(special)
    try:
        named = {"call": text, "loose": loose} if loose else {"call": text}
        starts = [f"{name}: {writer.written(orjson.loads(one))}" for name, one in named.items()]
    except orjson.JSONDecodeError as error:
        raise GrammarRefused(f"the shape of calls is not JSON: {error}", "", ABOUT) from error
    return ShapeGrammar([*starts, *writer.rules], writer.parts)


class _Writer:
    """Writes one document; `rules` and `parts` are what it has needed so far."""

    def __init__(self, special: Callable[[str], int]) -> None:
        self._special = special
        self._untils: dict[str, str] = {}
        self._numbers: dict[bytes, int] = {}  # of schemas that have been written
        self.rules: list[str] = []
        self.parts: list[JsonPart] = []

    def written(self, shape: Any) -> str:
        """An expression for a document."""
        match shape:
            case {"text": str(text)}:
                return quoted(text)
            case {"tag": str(text)}:
                return mark(text, self._special)
            case {"json": schema, **more}:
                return self._json(JsonPart(schema, str(more.get("label") or "tool call")))
            case {"until": str(text)} if text:
                return self._until(text)
            case {"sequence": list(parts)}:
                return f"({' '.join(map(self.written, parts))})" if parts else '""'
            case {"choice": list(parts)} if parts:
                return f"({' | '.join(map(self.written, parts))})"
            case {
                "repeat": part,
                "separator": str(between),
                "least": int(least),
                "most": int(most),
            }:
                return self._repeated(self.written(part), quoted(between), least, most)
        raise GrammarRefused(f"no shape is written {str(shape)[:100]!r}", "", ABOUT)

    def _json(self, part: JsonPart) -> str:
        """A schema, compiled once however often it occurs."""
        number = self._numbers.setdefault(orjson.dumps([part.schema, part.label]), len(self.parts))
        if number == len(self.parts):
            self.parts.append(part)
        return f"@json{number}"

    @staticmethod
    def _repeated(part: str, between: str, least: int, most: int) -> str:
        if between == '""':
            return f"({part}){{{least},{most or ''}}}"
        most_more = "" if most == 0 else most - 1
        more = "" if most == 1 else f" ({between} {part}){{{max(least - 1, 0)},{most_more}}}"
        return f"({part}{more}){'' if least else '?'}"

    def _until(self, text: str) -> str:
        """Text up to where a tag stands first: its letters, or its token behind none of these."""
        if text not in self._untils:
            name, token = f"until{len(self._untils)}", self._special(text)
            if token == NO_TOKEN:
                self.rules.append(f"{name}[lazy]: /(?s:.*)/ {quoted(text)}")
            else:
                terminal, letters = name.upper(), re.escape(text).replace("/", "\\/")
                self.rules += [
                    f"{name}: {terminal}? <[{token}]>",
                    f"{terminal}: /(?s:.+)/ & ~/(?s:.*){letters}(?s:.*)/",
                ]
            self._untils[text] = name
        return self._untils[text]


def mark(text: str, special: Callable[[str], int]) -> str:
    """A tag: the token of that text if the vocabulary has a special one, else its letters."""
    token = special(text)
    return quoted(text) if token == NO_TOKEN else f"<[{token}]>"


def quoted(text: str) -> str:
    """Letters."""
    return orjson.dumps(text).decode()
