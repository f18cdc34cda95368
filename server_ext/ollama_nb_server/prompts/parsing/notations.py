"""How families write calls: read, and what one must look like.

Each notation is one small class. `read` takes what stands between the tags of a section; `shape`
says what follows the opening tag, the closing one included, for an answer that cannot be malformed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from ollama_nb_server.prompts.parsing import shapes
from ollama_nb_server.prompts.parsing.parts import Call, Tool
from ollama_nb_server.prompts.parsing.sections import BLANKS, CallBroken
from ollama_nb_server.prompts.parsing.shapes import Json, Shape, Tag, Until, sequence
from ollama_nb_server.prompts.parsing.values import is_text, typed


class Notation(Protocol):
    """A way to write calls."""

    @property
    def opens(self) -> str:
        """The text before a call."""

    @property
    def closes(self) -> str:
        """The text behind it."""

    def read(self, body: str, tools: Sequence[Tool]) -> Sequence[Call]:
        """The calls of a body.

        Raises
        ------
        CallBroken
            If there are none in it, or one that cannot be read.
        """

    def shape(self, tools: Sequence[Tool]) -> Shape:
        """What a call of one of these tools looks like behind `opens`."""


@runtime_checkable
class SelfEnding(Protocol):
    """A notation whose calls end where they are whole, and not by a tag."""

    def ends(self, body: str, since: int) -> int:
        """Where a body ends, 0 if it goes on; `since`: what of it has been looked at before."""


@dataclass(frozen=True, slots=True)
class JsonCall:
    """One object with a name and arguments: `{"name": "f", "arguments": {...}}`."""

    opens: str
    closes: str
    name: str = "name"
    arguments: str = "arguments"
    around: str = "\n"

    def read(self, body: str, tools: Sequence[Tool]) -> Sequence[Call]:
        """The call of a body."""
        found = json_object(body)
        name, arguments = found.get(self.name), found.get(self.arguments)
        if not isinstance(name, str) or not name:
            raise CallBroken("empty function name")
        if not isinstance(arguments, dict | None):
            raise CallBroken(f"failed to parse JSON: {self.arguments} is no object")
        return [Call(name, arguments or {})]

    def shape(self, tools: Sequence[Tool]) -> Shape:
        """Any of the tools, its arguments by its schema."""
        calls = shapes.Choice(tuple(self._call(tool) for tool in tools))
        return sequence(self.around, calls, self.around, Tag(self.closes))

    def _call(self, tool: Tool) -> Shape:
        name = json.dumps(tool.name, ensure_ascii=False)
        head = f'{{"{self.name}": {name}, "{self.arguments}": '
        return sequence(head, Json(tool.parameters), "}")


@dataclass(frozen=True, slots=True)
class TaggedCall:
    """A function and its parameters in tags: `<function=f><parameter=a>` value `</parameter>` ...

    A value that is text stands as it is, all others as JSON. Only these tags are markup.
    """

    opens: str
    closes: str

    def read(self, body: str, tools: Sequence[Tool]) -> Sequence[Call]:
        """The call of a body."""
        function = FUNCTION.fullmatch(body.strip(BLANKS))
        if function is None:
            raise CallBroken("no <function=NAME> ... </function> in a tool call")
        name, inside = function.groups()
        schemas = next((tool.properties for tool in tools if tool.name == name), {})
        arguments = {}
        at = 0
        for found in PARAMETER.finditer(inside):
            if inside[at : found.start()].strip(BLANKS):
                raise CallBroken("text between the parameters of a tool call")
            key, value = found.groups()
            value = value.removeprefix("\n").removesuffix("\n")
            arguments[key] = typed(value, schemas.get(key) or {})
            at = found.end()
        if inside[at:].strip(BLANKS):
            raise CallBroken("text behind the parameters of a tool call")
        return [Call(name, arguments)]

    def shape(self, tools: Sequence[Tool]) -> Shape:
        """Required parameters first, each group in the schema's order."""
        calls = shapes.Choice(tuple(self._call(tool) for tool in tools))
        return sequence("\n", calls, "\n", Tag(self.closes))

    def _call(self, tool: Tool) -> Shape:
        required = tool.parameters.get("required") or ()
        first = [self._parameter(key, tool) for key in tool.properties if key in required]
        later = [
            shapes.Repeat(self._parameter(key, tool), least=0, most=1)
            for key in tool.properties
            if key not in required
        ]
        return sequence(f"<function={tool.name}>\n", *first, *later, "</function>")

    def _parameter(self, key: str, tool: Tool) -> Shape:
        head, schema = f"<parameter={key}>\n", tool.properties[key]
        if is_text(schema) and "enum" not in schema:
            return sequence(head, Until("\n</parameter>\n"))
        return sequence(head, Json(with_definitions(schema, tool)), "\n</parameter>\n")


FUNCTION = re.compile(r"<function=([^>]+)>(.*)</function>", re.DOTALL)
PARAMETER = re.compile(r"<parameter=([^>]+)>(.*?)</parameter>", re.DOTALL)


def with_definitions(schema: Any, tool: Tool) -> Any:
    """The schema of one argument, with the definitions that it may refer to."""
    shared = {
        key: tool.parameters[key] for key in ("$defs", "definitions") if key in tool.parameters
    }
    return {**shared, **schema} if isinstance(schema, dict) else schema


def json_object(text: str) -> dict[str, Any]:
    """The one JSON object that a text is.

    Raises
    ------
    CallBroken
        If it is none; `incomplete` if it ends in the middle of one.
    """
    try:
        found = json.loads(text.strip(BLANKS), strict=False)
    except (json.JSONDecodeError, RecursionError) as error:
        raise CallBroken(f"failed to parse JSON: {error}", incomplete=ends_inside(text)) from error
    if not isinstance(found, dict):
        raise CallBroken("failed to parse JSON: no object")
    return found


def ends_inside(text: str) -> bool:
    """Whether a JSON text ends within a string, so that what follows may still belong to it."""
    inside = escaped = False
    for letter in text:
        if escaped:
            escaped = False
        elif inside and letter == "\\":
            escaped = True
        elif letter == '"':
            inside = not inside
    return inside
