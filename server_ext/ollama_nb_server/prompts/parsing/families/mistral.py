"""Ministral 3: `[TOOL_CALLS]NAME[ARGS]{...}`, with thoughts anywhere between `[THINK]` tags."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ollama_nb_server.prompts.parsing import gojson, shapes
from ollama_nb_server.prompts.parsing.json_values import COUNTED, may_end
from ollama_nb_server.prompts.parsing.output_format import OutputFormat, of_sections
from ollama_nb_server.prompts.parsing.parts import Call, Tool
from ollama_nb_server.prompts.parsing.sections import CallBroken, Kind, Rest, Section
from ollama_nb_server.prompts.parsing.shapes import Shape, Tag, sequence

CALL, ARGUMENTS = "[TOOL_CALLS]", "[ARGS]"
THINK, THOUGHT = "[THINK]", "[/THINK]"


@dataclass(frozen=True, slots=True)
class NamedCall:
    """A name and its arguments; no tag ends a call, its JSON does."""

    opens: str = CALL
    closes: str = ""

    def ends(self, body: str, since: int) -> int:
        """Where a body ends, 0 if it goes on; `since`: what of it has been looked at before."""
        at = body.find(ARGUMENTS) if may_end(body, since) else -1
        return balanced_end(body, at + len(ARGUMENTS)) if at >= 0 else 0

    def read(self, body: str, tools: Sequence[Tool]) -> Sequence[Call]:
        """The call of a body."""
        name, _, arguments = body.partition(ARGUMENTS)
        if not any(tool.name == name for tool in tools):
            raise CallBroken(f"tool '{name}' not found")
        try:
            found = gojson.decode(arguments)
        except ValueError as error:
            raise CallBroken(str(error)) from error
        if not isinstance(found, dict | None):
            raise CallBroken("arguments are no object")
        return [Call(name, found or {})]

    def shape(self, tools: Sequence[Tool]) -> Shape:
        """Any of the tools."""
        return shapes.Choice(
            tuple(sequence(tool.name, Tag(ARGUMENTS), tool.shape) for tool in tools)
        )


def balanced_end(text: str, at: int) -> int:
    """Behind the bracket that closes the first one from `at` on; 0 while it is missing."""
    depth = 0
    for found in COUNTED.finditer(text, at):
        letter = found.group()
        if letter == '"':
            return 0
        if letter in "{[":
            depth += 1
        elif letter in "}]":
            depth -= 1
            if depth == 0:
                return found.end()
    return 0


NAMED_CALL = NamedCall()
EXITS = {CALL: "call", THINK: "think"}
SECTIONS = {
    "answer": Section(Kind.CONTENT, EXITS, skips_blanks=False, rest=Rest.LOST),
    "after": Section(Kind.CONTENT, EXITS, rest=Rest.LOST),
    "think": Section(
        Kind.THINKING, {THOUGHT: "after"}, skips_blanks=False, holds_blanks=False, rest=Rest.LOST
    ),
    "call": Section(Kind.CALLS, {"": "answer"}, read=NAMED_CALL.read, ends=NAMED_CALL.ends),
}

MINISTRAL = OutputFormat(
    of_sections(SECTIONS, "answer"),
    (CALL, THINK, THOUGHT, ARGUMENTS),
    tools=True, calls=NAMED_CALL, thoughts=(THINK, THOUGHT),
)  # fmt: skip
