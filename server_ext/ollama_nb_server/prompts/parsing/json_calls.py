"""Calls as JSON objects: in a list or one behind the other, with ids or without, or untagged."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ollama_nb_server.prompts.parsing.forms import MAX_CALLS
from ollama_nb_server.prompts.parsing.json_values import may_end, value_end, values
from ollama_nb_server.prompts.parsing.parts import Call, Tool
from ollama_nb_server.prompts.parsing.sections import CallBroken
from ollama_nb_server.prompts.parsing.shapes import Choice, Json, Repeat, Shape, Tag, sequence

ARGUMENTS = ("arguments", "parameters")  # families' words for them, which models mix up
MARKUP = ("id", "tool_call_id", "type", "index")  # keys that tell nobody anything


@dataclass(frozen=True, slots=True)
class JsonCalls:
    """`opens`, objects with a name and arguments, and `closes`, without which the JSON ends them.

    Attributes
    ----------
    name, arguments, id
        The keys; no id if it is empty.
    ids
        What an id looks like, as a regular expression.
    id_first
        Whether the id stands before the name, and not behind the arguments.
    by_name
        Whether an object has the function's name for its only key: `{"look": {"at": "sea"}}`.
    before, between, after
        What is written around and between the objects; only one object if `between` is empty.
    inside
        The end of `opens` that belongs to the JSON.
    untagged
        Whether `opens` may begin other texts too: then a call is what names an offered tool.
    """

    opens: str
    closes: str = ""
    name: str = "name"
    arguments: str = "arguments"
    id: str = ""
    ids: str = "^[a-zA-Z0-9]{9}$"
    id_first: bool = False
    by_name: bool = False
    before: str = "["
    between: str = ", "
    after: str = "]"
    inside: str = ""
    untagged: bool = False

    def read(self, body: str, tools: Sequence[Tool]) -> Sequence[Call]:
        """The calls of a body."""
        found = values(self.inside + body)
        objects = [
            one for value in found for one in (value if isinstance(value, list) else [value])
        ]
        calls = [self._call(one) for one in objects]
        if not calls:
            raise CallBroken("no tool call between its tags")
        if self.untagged:
            _refuse_unknown(calls, tools)
        return calls

    def ends(self, body: str, since: int) -> int:
        """Where a body ends that has no closing tag; 0 if it goes on."""
        if not may_end(body, since):
            return 0
        return max(value_end(self.inside + body) - len(self.inside), 0)

    def _call(self, found: Any) -> Call:
        if isinstance(found, dict) and set(found) - set(MARKUP) == {"function"}:
            found = found["function"]  # OpenAI's wrapper
        if not isinstance(found, dict):
            raise CallBroken("a tool call is a JSON object")
        if self.by_name:
            return _by_name(found)
        if lost := set(found) - {self.name, self.id, *MARKUP} - self._arguments_keys(found):
            raise CallBroken(f"a tool call has no {min(lost)!r}")
        return Call(_name(found.get(self.name)), self._arguments(found), _id(found.get(self.id)))

    def _arguments_keys(self, found: dict[str, Any]) -> set[str]:
        """The key of the arguments: the family's word, or the one that it took for it."""
        return set([key for key in (self.arguments, *ARGUMENTS) if key in found][:1])

    def _arguments(self, found: dict[str, Any]) -> dict[str, Any]:
        value = next((found[key] for key in self._arguments_keys(found)), None)
        if value is None and self.untagged:
            raise CallBroken("an object without arguments is no tool call")
        return _object(value)

    # --- what one looks like ----------------------------------------------------------------------

    def shape(self, tools: Sequence[Tool]) -> Shape:
        """Any number of calls, where the family writes several; arguments by the tools' schemas."""
        start = len(self.inside)
        first = Choice(tuple(self._object(tool, self.before, start) for tool in tools))
        more = Choice(tuple(self._object(tool, self.between) for tool in tools))
        closing = (self.after, Tag(self.closes)) if self.closes else (self.after,)
        if not self.between:
            return sequence(first, *closing)
        return sequence(first, Repeat(more, least=0, most=MAX_CALLS - 1), *closing)

    def _object(self, tool: Tool, before: str, start: int = 0) -> Shape:
        """An object, and what stands before it, from a letter on."""
        name = json.dumps(tool.name, ensure_ascii=False)
        if self.by_name:
            return sequence(f"{before}{{{name}: "[start:], tool.shape, "}")
        named = f'"{self.name}": {name}, "{self.arguments}": '
        own = Json({"type": "string", "pattern": self.ids})
        if not self.id:
            return sequence(f"{before}{{{named}"[start:], tool.shape, "}")
        if self.id_first:
            head = f'{before}{{"{self.id}": '
            return sequence(head[start:], own, ", " + named, tool.shape, "}")
        behind = f', "{self.id}": '
        return sequence(f"{before}{{{named}"[start:], tool.shape, behind, own, "}")


def _by_name(found: dict[str, Any]) -> Call:
    if len(found) != 1:
        raise CallBroken("a tool call has one key, the function's name")
    ((name, arguments),) = found.items()
    return Call(_name(name), _object(arguments))


def _name(found: Any) -> str:
    if not isinstance(found, str) or not found:
        raise CallBroken("a tool call without the function's name")
    return found


def _object(found: Any) -> dict[str, Any]:
    if isinstance(found, str):  # JSON within JSON
        inside = values(found) or [{}]
        found = inside[0] if len(inside) == 1 else inside
    if not isinstance(found, dict | None):
        raise CallBroken("a tool call's arguments are an object")
    return found or {}


def _id(found: Any) -> str:
    return str(found) if isinstance(found, str | int) and not isinstance(found, bool) else ""


def _refuse_unknown(calls: Sequence[Call], tools: Sequence[Tool]) -> None:
    """Untagged JSON may be an answer: a call is what names a tool."""
    known = {tool.name for tool in tools}
    for call in calls:
        if call.name not in known:
            raise CallBroken(f"{call.name} is no tool")
