"""How families write calls: read, and what one must look like.

Each notation is one small class. `read` takes what stands between the tags of a section; `shape`
says what follows the opening tag, the closing one included, for an answer that cannot be malformed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from ollama_nb_server.prompts.parsing import gojson, shapes
from ollama_nb_server.prompts.parsing.arguments import listed, read_arguments, value
from ollama_nb_server.prompts.parsing.elements import Malformed, parse
from ollama_nb_server.prompts.parsing.parts import Call, Tool
from ollama_nb_server.prompts.parsing.sections import CallBroken
from ollama_nb_server.prompts.parsing.shapes import Shape, Tag, sequence


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
    checked: bool = True

    def read(self, body: str, tools: Sequence[Tool]) -> Sequence[Call]:
        """The call of a body."""
        try:
            found = folded(json_object(body))
        except CallBroken as error:
            if not self.checked:
                error.reason = error.reason.removeprefix(FAILED)
            raise
        name, arguments = found.get(self.name), found.get(self.arguments)
        if not isinstance(name, str | None) or not isinstance(arguments, dict | None):
            key = self.arguments if isinstance(name, str | None) else self.name
            raise CallBroken(f"{FAILED}json: cannot unmarshal the type of {key}")
        if not name and self.checked:
            raise CallBroken("empty function name")
        return [Call(name or "", arguments or {})]

    def whole(self, body: str) -> bool:
        """Whether no text is open where a body ends."""
        return not ends_inside(body)

    def exact(self, body: str) -> bool:
        """Whether the arguments are where they belong."""
        found = folded(json_object(body))
        return self.arguments in found or found.keys() <= {self.name}

    def shape(self, tools: Sequence[Tool]) -> Shape:
        """Any of the tools, its arguments by its schema."""
        calls = shapes.Choice(tuple(self._call(tool) for tool in tools))
        return sequence(self.around, calls, self.around, Tag(self.closes))

    def _call(self, tool: Tool) -> Shape:
        name = json.dumps(tool.name, ensure_ascii=False)
        head = f'{{"{self.name}": {name}, "{self.arguments}": '
        return sequence(head, tool.shape, "}")


@dataclass(frozen=True, slots=True)
class TaggedCall:
    """A function and its parameters in tags: `<function=f><parameter=a>` value `</parameter>` ...

    A value that is text stands as it is, all others as JSON. Only these tags are markup.
    """

    opens: str
    closes: str

    def read(self, body: str, tools: Sequence[Tool]) -> Sequence[Call]:
        """The call of a body."""
        try:
            found = parse(body, MARKUP).children
        except Malformed as error:
            raise CallBroken(str(error), incomplete=not self.whole(body)) from error
        if not found:
            raise CallBroken("EOF")
        function = found[0]
        if function.tag != "function":
            raise CallBroken(f"expected element type <function> but have <{function.tag}>")
        texts = {one.name: one.text for one in function.all("parameter")}
        return [Call(function.name, read_arguments(function.name, texts, tools))]

    def whole(self, body: str) -> bool:
        """Whether no parameter is open where a body ends."""
        return body.rfind("<parameter=") <= max(body.rfind("</parameter>"), 0)

    def exact(self, body: str) -> bool:
        """Whether a body holds one function and its parameters, and nothing else."""
        return TAGGED.fullmatch(body) is not None

    def shape(self, tools: Sequence[Tool]) -> Shape:
        """Required parameters first, each group in the schema's order."""
        calls = shapes.Choice(tuple(self._call(tool) for tool in tools))
        return sequence("\n", calls, "\n", Tag(self.closes))

    def _call(self, tool: Tool) -> Shape:
        def argument(key: str) -> Shape:
            closes = "\n</parameter>\n"
            return sequence(f"<parameter={key}>\n", value(key, tool, closes=closes))

        return sequence(f"<function={tool.name}>\n", listed(tool, argument), "</function>")


TAGGED = re.compile(
    r"\s*<function=[^>]+>(?:\s*<parameter=[^>]+>(?:(?!</parameter>).)*</parameter>)*\s*</function>\s*",
    re.DOTALL,
)
FAILED = "failed to parse JSON: "
MARKUP = re.compile(
    r"<(?P<opens>(?:function|parameter)(?==[^>]|>|\s+name=\"[^\"]*\">))"
    r"(?:=(?P<name>[^>]+)|\s+name=\"(?P<named>[^\"]*)\")?>|</(?P<closes>function|parameter)>"
)


def json_object(text: str) -> dict[str, Any]:
    """The one JSON object that a text is.

    Raises
    ------
    CallBroken
        If it is none; `incomplete` if it ends in the middle of one.
    """
    try:
        found = gojson.decode(text)
    except ValueError as error:
        raise CallBroken(f"{FAILED}{error}", incomplete=ends_inside(text)) from error
    if found is None:  # Go leaves everything as it was
        return {}
    if not isinstance(found, dict):
        raise CallBroken(f"{FAILED}json: cannot unmarshal what is no object")
    return found


def folded(found: Mapping[str, Any]) -> dict[str, Any]:
    """An object whose keys Go finds in any letter case; the last of equal ones counts."""
    return {key.casefold(): value for key, value in found.items()}


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
