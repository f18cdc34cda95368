"""OLMo 3: lines of `name(key=value, ...)` between tags; its thinking model has no calls."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ollama_nb_server.prompts.parsing import shapes
from ollama_nb_server.prompts.parsing.arguments import argument, listed
from ollama_nb_server.prompts.parsing.output_format import OutputFormat, of_sections
from ollama_nb_server.prompts.parsing.parts import Call, Situation, Tool
from ollama_nb_server.prompts.parsing.python_values import (
    MISSING,
    is_quoted,
    of_json,
    open_quote,
    split,
    unescaped,
    word_or_number,
)
from ollama_nb_server.prompts.parsing.sections import (
    BLANKS,
    Broken,
    CallBroken,
    Kind,
    Rest,
    Section,
    SectionParser,
)
from ollama_nb_server.prompts.parsing.shapes import Shape, Tag, sequence

THINK, THOUGHT = "<think>", "</think>"
LINE = re.compile(r"([A-Za-z0-9_]+)\((.*)\)")
ANY_NAME = re.compile(r"([^\s(]+)\((.*)\)")


@dataclass(frozen=True, slots=True)
class CallLines:
    """A call a line.

    With `strict`, names and values are read as Ollama reads them; otherwise JSON's escapes and
    every name of a tool are known too.
    """

    opens: str = "<function_calls>"
    closes: str = "</function_calls>"
    strict: bool = False

    def read(self, body: str, tools: Sequence[Tool]) -> Sequence[Call]:
        """The calls of a body: all its lines, or none."""
        lines = [line.strip(BLANKS) for line in body.split("\n")]
        return [self._call(line) for line in lines if line]

    def whole(self, body: str) -> bool:
        """Whether no text is open where a body ends."""
        return not open_quote(body)

    def shape(self, tools: Sequence[Tool]) -> Shape:
        """One or several calls of any of the tools, values as JSON."""
        one = shapes.Choice(tuple(self._shape(tool) for tool in tools))
        return sequence(shapes.Repeat(one, "\n"), Tag(self.closes))

    def _shape(self, tool: Tool) -> Shape:
        return sequence(f"{tool.name}(", keywords(tool), ")")

    def _call(self, line: str) -> Call:
        found = (LINE if self.strict else ANY_NAME).fullmatch(line)
        if found is None:
            raise CallBroken("invalid function call format")
        pairs = [part for part in split(found.group(2)) if part.strip(BLANKS)]
        return Call(found.group(1), dict(self._pair(part, "=") for part in pairs))

    def _pair(self, text: str, separator: str) -> tuple[str, Any]:
        key, found, value = text.partition(separator)
        if not found:
            raise CallBroken(f"invalid argument format: {text.strip(BLANKS)}")
        return key.strip(BLANKS), self._value(value.strip(BLANKS))

    def _value(self, text: str) -> Any:
        if not self.strict and (value := of_json(text)) is not MISSING:
            return value
        if is_quoted(text):
            return unescaped(text[1:-1])
        value = None if text == "nil" else word_or_number(text)
        if value is not MISSING:
            return value
        inside = text[1:-1].strip(BLANKS)
        if text.startswith("[") and text.endswith("]"):
            return [self._value(part.strip(BLANKS)) for part in split(inside)]
        if text.startswith("{") and text.endswith("}"):
            pairs = (self._pair(part, ":") for part in split(inside) if part.strip(BLANKS))
            return {key[1:-1] if is_quoted(key) else key: value for key, value in pairs}
        return text


def keywords(tool: Tool) -> Shape:
    """Arguments by their names, values as JSON."""

    def keyword(key: str) -> Shape:
        return sequence(f"{key}=", argument(key, tool))

    return listed(tool, keyword, ", ")


CALLS = CallLines()


def _sections(calls: CallLines) -> dict[str, Section]:
    return {
        "answer": Section(
            Kind.CONTENT, {calls.opens: "calls"}, skips_blanks=False, holds_blanks=False
        ),
        "calls": Section(
            Kind.CALLS, {calls.closes: "answer"}, read=calls.read, broken=Broken.DROPPED,
            whole=calls.whole,
        ),
    }  # fmt: skip


STRICT, LOOSE = _sections(CallLines(strict=True)), _sections(CALLS)


def _parser(situation: Situation) -> SectionParser:
    sections = LOOSE if situation.lossless else STRICT
    return SectionParser(sections, "answer", situation.tools, lossless=situation.lossless)


OLMO3 = OutputFormat(_parser, (CALLS.opens, CALLS.closes), tools=True, calls=CALLS)
OLMO3_THINK = OutputFormat(
    of_sections(
        {
            "think": Section(
                Kind.THINKING, {THOUGHT: "answer"}, skips_blanks=False, rest=Rest.LOST
            ),
            # A recorded answer keeps the blanks behind the tag.
            "answer": Section(Kind.CONTENT, {}, skips_blanks=False, holds_blanks=False),
        },
        lambda situation: "answer" if situation.prefill else "think",
    ),
    (THOUGHT,),
    thinking=True,
    thoughts=(THINK, THOUGHT),
)
