"""Calls whose arguments stand in tags, one by one: `<parameter=at>sea</parameter>` and its like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ollama_nb_server.prompts.parsing.arguments import RULES, argument, read_argument, unquoted
from ollama_nb_server.prompts.parsing.forms import (
    MAX_CALLS,
    closing,
    filled,
    letters,
    pattern,
    text_until,
)
from ollama_nb_server.prompts.parsing.parts import Call, Tool
from ollama_nb_server.prompts.parsing.schemas import (
    argument_schema,
    is_written_as_text,
    texts_allowed,
    types_allowed,
)
from ollama_nb_server.prompts.parsing.sections import BLANKS, CallBroken
from ollama_nb_server.prompts.parsing.shapes import Choice, Json, Repeat, Shape, Text
from ollama_nb_server.prompts.parsing.shapes import Sequence as Row

TEXT, OTHER = "string", ""
COUNT = Json({"type": "integer", "minimum": 0, "maximum": 999})


@dataclass(frozen=True, slots=True)
class MarkedCalls:
    """Calls in two forms: one with the holes `{name}` and `{parameters}`, one for a parameter.

    Attributes
    ----------
    opens, closes
        The tags around them.
    call
        How one is written.
    parameter
        How an argument is, with the holes `{key}` and `{value}`, and perhaps `{kind}`.
    before, between, after
        What is written around and between calls; only one is written if it is None.
    kinds
        The words of `{kind}` by the value's type, one for all others under "".
    inside
        The end of `opens` that belongs to a call.
    marks
        The texts in the forms that may be control tokens.
    """

    opens: str
    closes: str
    call: str
    parameter: str
    before: str = "\n"
    between: str | None = None
    after: str = "\n"
    kinds: Mapping[str, str] = field(default_factory=dict)
    inside: str = ""
    marks: tuple[str, ...] = ()

    def read(self, body: str, tools: Sequence[Tool]) -> Sequence[Call]:
        """The calls of a body."""
        body = self.inside + body
        calls: list[Call] = []
        at = 0
        while body[at:].strip(BLANKS):
            call, at = self._call(body, at, tools)
            calls.append(call)
        if not calls:
            raise CallBroken("no tool call between its tags")
        return calls

    def _call(self, body: str, at: int, tools: Sequence[Tool]) -> tuple[Call, int]:
        head_form, _, tail_form = self.call.partition("{parameters}")
        head = pattern(head_form, (self._parameter_head, tail_form)).match(body, at)
        if head is None:
            raise CallBroken(f"a tool call is written as {self.call}")
        name, at = head.group("name"), head.end()
        tool = next((tool for tool in tools if tool.name == name), Tool(name))
        arguments: dict[str, Any] = {}
        while (found := pattern(self.parameter).match(body, at)) is not None:
            key = found.group("key")
            if key in arguments:
                raise CallBroken(f"the argument {key} twice, of which one would be lost")
            arguments[key] = self._value(found.groupdict(), key, tool)
            at = found.end()
        tail = pattern(tail_form).match(body, at)
        if tail is None:  # where a parameter has begun, more may come
            raise CallBroken("a tool call without its end", incomplete=self._begun(body, at))
        return Call(name, arguments), tail.end()

    @property
    def _parameter_head(self) -> str:
        return self.parameter.partition("{key}")[0]

    def _begun(self, body: str, at: int) -> bool:
        return pattern(self._parameter_head).match(body, at) is not None

    def _value(self, holes: Mapping[str, Any], key: str, tool: Tool) -> Any:
        text, kind = holes["value"], holes.get("kind")
        if kind is None:
            return read_argument(text, key, tool)
        return text if kind == self.kinds[TEXT] else unquoted(text)

    # --- what one looks like ----------------------------------------------------------------------

    def shape(self, tools: Sequence[Tool]) -> Shape:
        """Required parameters first, each group in the schema's order."""
        call = Choice(tuple(self._shape(tool) for tool in tools))
        calls = call if self.between is None else Repeat(call, self.between, most=MAX_CALLS)
        before, after = letters(self.before, self.marks), letters(self.after, self.marks)
        return Row((*before, calls, *after, *closing(self.closes, self.marks)))

    def _shape(self, tool: Tool) -> Shape:
        required = tool.required
        first = [self._parameter(key, tool) for key in tool.properties if key in required]
        later = [
            Repeat(self._parameter(key, tool), least=0, most=1)
            for key in tool.properties
            if key not in required
        ]
        holes: dict[str, Shape | str] = {"name": tool.name, "number": COUNT}
        holes["parameters"] = Row((*first, *later))
        return Row(tuple(filled(self.call, holes, self.marks)))

    def _parameter(self, key: str, tool: Tool) -> Shape:
        schema = argument_schema(tool, key)
        as_text = is_written_as_text(schema) and not RULES & schema.keys()
        kind = TEXT if as_text else min(types_allowed(schema) - {TEXT}, default=OTHER)
        head, _, tail = self.parameter.partition("{value}")
        holes = {"key": key, "kind": self.kinds.get(kind, self.kinds.get(OTHER, ""))}
        begun = filled(head, holes, self.marks)
        if not as_text:
            return Row((*begun, argument(key, tool, schema), *letters(tail, self.marks)))
        if allowed := texts_allowed(schema):
            return Row((*begun, Choice(tuple(map(Text, allowed))), *letters(tail, self.marks)))
        return Row((*begun, *text_until(tail, self.marks)))
