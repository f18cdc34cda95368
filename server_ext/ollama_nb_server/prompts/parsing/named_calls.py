"""Calls as a name in tags of their own, and arguments in JSON: `NAME[ARGS]{...}` and its like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ollama_nb_server.prompts.parsing.forms import MAX_CALLS, closing, filled, pattern
from ollama_nb_server.prompts.parsing.json_values import may_end, value_at, value_end
from ollama_nb_server.prompts.parsing.parts import Call, Tool
from ollama_nb_server.prompts.parsing.sections import BLANKS, CallBroken
from ollama_nb_server.prompts.parsing.shapes import (
    Choice,
    Json,
    Repeat,
    Shape,
)
from ollama_nb_server.prompts.parsing.shapes import (
    Sequence as Row,
)

OBJECT = ("{",)  # what arguments begin with


@dataclass(frozen=True, slots=True)
class NamedCalls:
    """Calls in a form with the holes `{name}` and `{arguments}`, and perhaps `{id}`, `{number}`.

    Attributes
    ----------
    opens, closes
        The tags around them; without `closes` the arguments of one end it.
    form
        How one is written.
    between
        What stands between two of them; only one is written if it is None.
    id
        What of the form is the call's id, as a form.
    inside
        The end of `opens` that belongs to the form.
    marks
        The texts in the form that may be control tokens.
    """

    opens: str
    closes: str
    form: str
    between: str | None = None
    id: str = "{id}"
    inside: str = ""
    marks: tuple[str, ...] = ()

    def read(self, body: str, tools: Sequence[Tool]) -> Sequence[Call]:
        """The calls of a body."""
        body = self.inside + body
        calls: list[Call] = []
        at = 0
        while body[at:].strip(BLANKS):
            call, at = self._call(body, at)
            calls.append(call)
        if not calls:
            raise CallBroken("no tool call between its tags")
        return calls

    def ends(self, body: str, since: int) -> int:
        """Where a body ends that has no closing tag; 0 if it goes on."""
        if not may_end(body, since):
            return 0
        whole = self.inside + body
        head = pattern(self._head, OBJECT).match(whole)
        return max(value_end(whole, head.end()) - len(self.inside), 0) if head else 0

    def shape(self, tools: Sequence[Tool]) -> Shape:
        """One call, or any number of them before the closing tag."""
        call = Choice(tuple(self._shape(tool) for tool in tools))
        calls = call if self.between is None else Repeat(call, self.between, most=MAX_CALLS)
        return Row((calls, *closing(self.closes, self.marks)))

    @property
    def _head(self) -> str:
        return self.form.partition("{arguments}")[0]

    @property
    def _tail(self) -> str:
        return self.form.partition("{arguments}")[2]

    def _call(self, body: str, at: int) -> tuple[Call, int]:
        head = pattern(self._head, OBJECT).match(body, at)
        if head is None:
            raise CallBroken(f"a tool call is written as {self.form}")
        arguments, end = value_at(body, head.end())
        tail = pattern(self._tail).match(body, end) if self._tail else None
        holes = head.groupdict(default="")
        call = Call(holes["name"], arguments, self._id(holes))
        return call, tail.end() if tail else end

    def _id(self, holes: dict[str, Any]) -> str:
        return self.id.format_map({"id": "", **holes})

    def _shape(self, tool: Tool) -> Shape:
        holes: dict[str, Shape | str] = {
            "name": tool.name,
            "arguments": tool.shape,
            "id": Json({"type": "integer", "minimum": 100000000, "maximum": 999999999}),
            "number": Json({"type": "integer", "minimum": 0, "maximum": 999}),
        }
        return Row(tuple(filled(self.form, holes, self.marks)))
