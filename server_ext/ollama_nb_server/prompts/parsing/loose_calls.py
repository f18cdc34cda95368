"""Calls in no family's notation: small models often write their JSON alone, or in a fence.

    ```json
    {"name": "look", "arguments": {"at": "sea"}}
    ```

They count at the beginning of an answer, and behind one another; further on such a text may be an
example. Where a request binds its calls, the engine knows the same rules (`loose` there), so that
whatever is taken for a call here has arguments that its tool's schema allows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from enum import Enum

from ollama_nb_server.prompts.parsing.parts import Call, OutputParser, Parts, Tool
from ollama_nb_server.prompts.parsing.shapes import Choice, Json, Shape, sequence

LEAD = re.compile(r"\s*(```[a-zA-Z_]*\s*|`{0,2})[\s\[{]*", re.ASCII)
MORE = re.compile(r"[\s`,;\]}]*(json|jso|js|j)?[\s\[{]*", re.ASCII)
MARKUP = re.compile(r"[\s,;\]}]*(```)?\s*", re.ASCII)  # behind a call, and part of it
MAX_LEAD = 80


def loose_triggers(tools: Sequence[Tool]) -> tuple[str, ...]:
    """The texts that make the beginning of an answer a call.

    Examples
    --------
    >>> loose_triggers([Tool("look")])
    ('"name": "look"', '"name":"look"')
    """
    names = [json.dumps(tool.name, ensure_ascii=False) for tool in tools]
    return tuple(f'"name":{blank}{name}' for name in names for blank in (" ", ""))


def loose_shape(tools: Sequence[Tool]) -> Shape:
    """Such a call from its trigger to its closing brace."""
    calls = []
    for tool in tools:
        arguments = Json(tool.parameters, f"tool '{tool.name}'")
        calls += [
            sequence(trigger, ', "arguments": ', arguments, "}")
            for trigger in loose_triggers([tool])
        ]
    return Choice(tuple(calls))


class _Place(Enum):
    HEAD = "the beginning: a call may come"
    BEHIND = "behind a call: another may come"
    REST = "text, to the end"


class LooseParser:
    """Finds loose calls in what another parser takes for content."""

    def __init__(self, parser: OutputParser, tools: Sequence[Tool]) -> None:
        self._parser, self._triggers = parser, loose_triggers(tools)
        self._place, self._held = _Place.HEAD, ""

    def feed(self, text: str) -> Parts:
        """What is certain now."""
        return self._found(self._parser.feed(text))

    def end(self) -> Parts:
        """What is left when nothing more comes."""
        parts = self._found(self._parser.end())
        held, self._held = self._held, ""
        if self._place is _Place.BEHIND:
            held = held[_end(MARKUP, held) :]
        return parts + Parts(content=held)

    def _found(self, parts: Parts) -> Parts:
        self._held += parts.content
        content, calls = "", list(parts.calls)
        while self._held:
            found = self._next()
            if found is None:
                break
            if isinstance(found, str):
                content += found
            else:
                calls.append(found)
        return Parts(parts.thinking, content, tuple(calls), parts.lost)

    def _next(self) -> Call | str | None:
        """A call, or text that is none; None where that is not decided yet."""
        if self._place is _Place.REST:
            return self._text()
        lead = LEAD if self._place is _Place.HEAD else MORE
        at = _end(lead, self._held)
        if at > MAX_LEAD:
            return self._text()
        rest = self._held[at:]
        if rest.startswith(self._triggers):
            return self._call(at)
        undecided = not rest or any(trigger.startswith(rest) for trigger in self._triggers)
        return None if undecided else self._text()

    def _text(self) -> str:
        text, self._held = self._held, ""
        if self._place is _Place.BEHIND:
            text = text[_end(MARKUP, text) :]
        self._place = _Place.REST
        return text

    def _call(self, at: int) -> Call | str | None:
        """The call whose name stands here, if its object begins before it."""
        begins = self._held.rfind("{", 0, at)
        if begins < 0:
            return self._text()
        try:
            found, end = json.JSONDecoder(strict=False).raw_decode(self._held, begins)
        except (json.JSONDecodeError, RecursionError):
            return None
        arguments = found.get("arguments")
        if not isinstance(arguments, dict):
            return self._text()
        self._place, self._held = _Place.BEHIND, self._held[end:]
        return Call(found["name"], arguments)


def _end(pattern: re.Pattern[str], text: str) -> int:
    found = pattern.match(text)
    return found.end() if found else 0
