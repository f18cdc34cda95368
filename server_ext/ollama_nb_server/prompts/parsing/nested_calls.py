"""MiniMax M3's calls: elements within elements, each tag behind a mark that no value contains.

    <invoke name="look"><place><x>1</x></place><days><item>2</item></days></invoke>

Its mark stands before each `<`. Objects and lists are written as elements too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ollama_nb_server.prompts.parsing.arguments import RULES, unquoted
from ollama_nb_server.prompts.parsing.forms import MAX_CALLS
from ollama_nb_server.prompts.parsing.parts import Call, Tool
from ollama_nb_server.prompts.parsing.schemas import (
    DEFINITIONS,
    followed,
    is_written_as_text,
    texts_allowed,
    types_allowed,
    value_of,
)
from ollama_nb_server.prompts.parsing.sections import BLANKS, CallBroken
from ollama_nb_server.prompts.parsing.shapes import Choice, Json, Repeat, Shape, Tag, Text, Until
from ollama_nb_server.prompts.parsing.shapes import Sequence as Row

MARK = "]<]minimax[>["
TAG = re.compile(
    r'<(?P<ends>/?)(?P<name>[^<>"]+?)(?: name="(?P<of>[^"]+)")?>(?P<text>.*)', re.DOTALL
)
ITEM, INVOKE = "item", "invoke"
MAX_DEPTH = 8  # of elements; what lies deeper is written as JSON


@dataclass(slots=True)
class Element:
    """A tag, the text behind it, and the elements in it."""

    name: str
    of: str = ""
    text: str = ""
    inside: list[Element] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class NestedCalls:
    """Any number of calls between two tags."""

    opens: str = f"{MARK}<tool_call>"
    closes: str = f"{MARK}</tool_call>"
    marks: tuple[str, ...] = (MARK,)

    def read(self, body: str, tools: Sequence[Tool]) -> Sequence[Call]:
        """The calls of a body."""
        found = elements(body)
        if not found or any(one.name != INVOKE or not one.of for one in found):
            raise CallBroken("not one tool call between its tags")
        known = {tool.name: tool.parameters for tool in tools}
        return [Call(one.of, _object(one, *[known.get(one.of, {})] * 2)) for one in found]

    def shape(self, tools: Sequence[Tool]) -> Shape:
        """Any number of calls, their arguments by the tools' schemas."""
        calls = Repeat(Choice(tuple(self._call(tool) for tool in tools)), "\n", most=MAX_CALLS)
        return Row((Text("\n"), calls, Text("\n"), Tag(MARK), Text("</tool_call>")))

    def _call(self, tool: Tool) -> Shape:
        members = _members(tool.parameters, tool, MAX_DEPTH)
        head = (Tag(MARK), Text(f'<{INVOKE} name="{tool.name}">'))
        return Row((*head, *members, Tag(MARK), Text(f"</{INVOKE}>")))


def elements(body: str) -> list[Element]:
    """The elements of a text.

    Raises
    ------
    CallBroken
        If one is not closed, or there is text where none belongs.
    """
    before, *pieces = body.split(MARK)
    top = Element("")
    path = [top]
    _refuse_text(before)
    for piece in pieces:
        tag = TAG.fullmatch(piece)
        if tag is None:
            raise CallBroken("no tag behind its mark")
        if not tag["ends"]:
            path.append(Element(tag["name"], tag["of"] or "", tag["text"]))
            path[-2].inside.append(path[-1])
            continue
        _refuse_text(tag["text"])
        if path.pop().name != tag["name"]:
            raise CallBroken(f"</{tag['name']}> closes nothing")
    if len(path) != 1:
        raise CallBroken(f"<{path[-1].name}> is not closed")
    return top.inside


def _refuse_text(text: str) -> None:
    if text.strip(BLANKS):
        raise CallBroken("text between the tags of a tool call")


def _value(element: Element, schema: Any, root: Mapping[str, Any]) -> Any:
    schema = followed(schema, root)
    types = types_allowed(schema)
    if not element.inside and (element.text.strip(BLANKS) or is_written_as_text(schema)):
        return unquoted(element.text) if RULES & schema.keys() else value_of(element.text, types)
    if types == {"array"} or (element.inside and {one.name for one in element.inside} == {ITEM}):
        _refuse_text(element.text)
        return [_value(one, schema.get("items"), root) for one in element.inside]
    return _object(element, schema, root)


def _object(element: Element, schema: Mapping[str, Any], root: Mapping[str, Any]) -> dict[str, Any]:
    _refuse_text(element.text)
    properties = schema.get("properties") or {}
    found: dict[str, Any] = {}
    for one in element.inside:
        if one.name in found:
            raise CallBroken(f"<{one.name}> twice, of which one would be lost")
        found[one.name] = _value(one, properties.get(one.name), root)
    return found


def _members(schema: Mapping[str, Any], tool: Tool, depth: int) -> list[Shape]:
    """Required members first, each group in the schema's order."""
    properties, required = schema.get("properties") or {}, schema.get("required") or ()
    known = {key: _element(key, one, tool, depth) for key, one in properties.items()}
    first = [shape for key, shape in known.items() if key in required]
    later = [shape for key, shape in known.items() if key not in required]
    return [*first, *(Repeat(shape, least=0, most=1) for shape in later)]


def _element(name: str, schema: Any, tool: Tool, depth: int) -> Shape:
    schema = followed(schema, tool.parameters)
    head, ends = (Tag(MARK), Text(f"<{name}>")), (Tag(MARK), Text(f"</{name}>"))
    if not is_written_as_text(schema) or RULES & schema.keys():
        return Row((*head, *_inside(schema, tool, depth - 1), *ends))
    if allowed := texts_allowed(schema):
        return Row((*head, Choice(tuple(map(Text, allowed))), *ends))
    return Row((*head, Until(MARK), Text(f"</{name}>")))


def _inside(schema: Mapping[str, Any], tool: Tool, depth: int) -> Sequence[Shape]:
    types = types_allowed(schema)
    if depth and types == {"object"} and schema.get("properties"):
        return _members(schema, tool, depth)
    if depth and types == {"array"} and isinstance(schema.get("items"), dict):
        return [Repeat(_element(ITEM, schema["items"], tool, depth), least=0)]
    shared = {key: tool.parameters[key] for key in DEFINITIONS if key in tool.parameters}
    return [Json({**shared, **schema}, f"tool {tool.name!r}")]
