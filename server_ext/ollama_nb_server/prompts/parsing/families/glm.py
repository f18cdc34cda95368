"""GLM: `<tool_call>NAME<arg_key>K</arg_key><arg_value>V</arg_value> ... </tool_call>`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ollama_nb_server.prompts.parsing import shapes
from ollama_nb_server.prompts.parsing.arguments import listed, read_arguments, value
from ollama_nb_server.prompts.parsing.elements import Element, Malformed, parse
from ollama_nb_server.prompts.parsing.families.glm_repair import repaired
from ollama_nb_server.prompts.parsing.output_format import OutputFormat, of_sections, unless_off
from ollama_nb_server.prompts.parsing.parts import Call, Tool
from ollama_nb_server.prompts.parsing.sections import (
    BLANKS,
    CallBroken,
    Kind,
    Rest,
    Section,
    overlap,
)
from ollama_nb_server.prompts.parsing.shapes import Shape, Tag, sequence

THINK, THOUGHT = "<think>", "</think>"
KEY, KEY_END, VALUE, VALUE_END = "<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>"
KEYED = re.compile(
    r"\s*[^<\s][^<\n]*(?:\s*<arg_key>[^<]*</arg_key>\s*<arg_value>(?:(?!</?arg_).)*</arg_value>)*\s*",
    re.DOTALL,
)
MARKUP = re.compile("<(?P<opens>arg_key|arg_value)>|</(?P<closes>arg_key|arg_value)>")


@dataclass(frozen=True, slots=True)
class KeyedCall:
    """A name, and its arguments as pairs of elements, each on a line of its own if `lines`."""

    opens: str = "<tool_call>"
    closes: str = "</tool_call>"
    lines: bool = False

    def read(self, body: str, tools: Sequence[Tool]) -> Sequence[Call]:
        """The call of a body, whose tags need not fit."""
        body = body.strip(BLANKS)
        try:
            found = parse(body, MARKUP, "tool_call")
        except Malformed as error:
            try:
                found = parse(repaired(body), MARKUP, "tool_call")
            except Malformed:
                raise CallBroken(f"failed to parse XML: {error}") from error
        return [_call(found, tools)]

    def read_unclosed(self, body: str, tools: Sequence[Tool]) -> Sequence[Call]:
        """The call that an answer ended in: all that is needed must be there."""
        body = body[: len(body) - overlap(body, self.closes)].strip(BLANKS)
        try:
            call = _call(parse(body, MARKUP, "tool_call"), tools)
            _check(call, tools)
        except (Malformed, CallBroken) as error:
            raise CallBroken(f"incomplete GLM tool call: {error}") from error
        return [call]

    def whole(self, body: str) -> bool:
        """Whether no argument is open where a body ends."""
        return body.rfind(VALUE) <= max(body.rfind(VALUE_END), 0)

    def exact(self, body: str) -> bool:
        """Whether a body holds a name and pairs, tags put in, and nothing else."""
        mended = body if KEYED.fullmatch(body) else repaired(body)
        kept = MARKUP.sub("", mended).split() == MARKUP.sub(" ", body).split()
        return KEYED.fullmatch(mended) is not None and (mended == body or kept)

    def shape(self, tools: Sequence[Tool]) -> Shape:
        """Any of the tools; texts stand as they are."""
        calls = shapes.Choice(tuple(self._call(tool) for tool in tools))
        return sequence(calls, Tag(self.closes))

    def _call(self, tool: Tool) -> Shape:
        line = "\n" if self.lines else ""

        def argument(key: str) -> Shape:
            head = sequence(Tag(KEY), key, Tag(KEY_END), line, Tag(VALUE))
            return sequence(head, value(key, tool, closes=VALUE_END), line)

        return sequence(tool.name, line, listed(tool, argument))


def _call(found: Element, tools: Sequence[Tool]) -> Call:
    name = found.text.strip(BLANKS)
    if not name:
        raise CallBroken("empty function name")
    keys, values = found.all("arg_key"), found.all("arg_value")
    if len(keys) != len(values):
        counts = f"{len(keys)} keys, {len(values)} values"
        raise CallBroken(f"mismatched arg_key and arg_value counts: {counts}")
    pairs = {key.text.strip(BLANKS): one.text for key, one in zip(keys, values, strict=True)}
    return Call(name, read_arguments(name, pairs, tools))


def _check(call: Call, tools: Sequence[Tool]) -> None:
    tool = next((tool for tool in tools if tool.name == call.name), None)
    if tool is None:
        raise CallBroken(f'tool "{call.name}" is not declared')
    if "" in call.arguments:
        raise CallBroken("empty argument name")
    for key in tool.required:
        if key not in call.arguments:
            raise CallBroken(f'required argument "{key}" is missing for tool "{call.name}"')


CALL = KeyedCall()
SECTIONS = {
    "think": Section(Kind.THINKING, {THOUGHT: "after"}, skips_blanks=False, rest=Rest.LOST),
    "thinking": Section(Kind.THINKING, {THOUGHT: "after"}, rest=Rest.LOST),
    "look": Section(
        Kind.CONTENT, {CALL.opens: "call"}, leads={THINK: "thinking"}, skips_blanks=False,
        rest=Rest.LOST,
    ),
    "after": Section(Kind.CONTENT, {CALL.opens: "call"}, rest=Rest.LOST),
    "call": Section(
        Kind.CALLS, {CALL.closes: "after"}, read=CALL.read, read_unclosed=CALL.read_unclosed,
        whole=CALL.whole, exact=CALL.exact,
    ),
}  # fmt: skip
TAGS = (THINK, THOUGHT, CALL.opens, CALL.closes, KEY, KEY_END, VALUE, VALUE_END)

GLM = OutputFormat(
    of_sections(SECTIONS, lambda s: "think" if unless_off(s) else "look"),
    TAGS, tools=True, thinking=True, calls=CALL, thoughts=(THINK, THOUGHT),
)  # fmt: skip
GLM_OCR = OutputFormat(
    of_sections(SECTIONS, "look"), TAGS, tools=True, calls=CALL, thoughts=(THINK, THOUGHT)
)
