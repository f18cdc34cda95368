"""What generic parsers take for a call: an object, and the name of a tool near it.

Source: reference/ollama-models.md 7.2.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ollama_nb_server.prompts.parsing import gojson
from ollama_nb_server.prompts.parsing.parts import Tool

MISSING = object()


class ToolNames:
    """Finds the names of tools in a text."""

    def __init__(self, tools: Sequence[Tool]) -> None:
        self._names = sorted({tool.name for tool in tools if tool.name}, key=len, reverse=True)
        words = "|".join(map(re.escape, self._names))
        self._any = re.compile(words) if words else None
        self.longest = len(self._names[0]) if self._names else 0

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def first(self, text: str, at: int = 0) -> re.Match[str] | None:
        """The first name, the longest of those that begin there."""
        return self._any.search(text, at) if self._any is not None else None

    def may_begin(self, text: str, before: int) -> bool:
        """Whether the text ends in the middle of a name that begins no later than `before`."""
        first = max(len(text) - self.longest + 1, 0)
        return any(
            name.startswith(text[at:])
            for at in range(first, min(before + 1, len(text)))
            for name in self._names
            if len(text) - at < len(name)
        )


def object_in(text: str) -> dict[str, Any] | None:
    """The JSON object that a text is, None if it is none."""
    try:
        found = gojson.decode(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def arguments_in(found: dict[str, Any], name: str) -> dict[str, Any] | None:
    """The arguments that an object holds for a tool; None if it names one but has none.

    Examples
    --------
    >>> arguments_in({"name": "f", "parameters": {"a": 1}}, "f"), arguments_in({"a": 1}, "f")
    ({'a': 1}, {'a': 1})
    """
    arguments = _search(found, name)
    return found if arguments is MISSING else arguments


def _search(found: dict[str, Any], name: str) -> Any:
    if "name" in found:
        named = (_object_of(found.get(key)) for key in ("arguments", "parameters"))
        return next((value for value in named if value is not None), None)
    own = _object_of(found.get(name))
    if own is not None:
        return own
    for child in found.values():
        for one in child if isinstance(child, list) else (child,):
            if isinstance(one, dict) and (inner := _search(one, name)) is not MISSING:
                return inner
    return MISSING


def _object_of(value: Any) -> dict[str, Any] | None:
    if isinstance(value, str):
        return object_in(value)
    return value if isinstance(value, dict) else None
