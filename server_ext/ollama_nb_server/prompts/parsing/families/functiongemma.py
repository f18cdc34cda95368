"""FunctionGemma: `call:NAME{key:<escape>text<escape>,n:1}`, each call between tags."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ollama_nb_server.prompts.parsing import gojson, shapes
from ollama_nb_server.prompts.parsing.arguments import listed, value
from ollama_nb_server.prompts.parsing.output_format import OutputFormat
from ollama_nb_server.prompts.parsing.parts import Call, Situation, Tool
from ollama_nb_server.prompts.parsing.python_values import MISSING, of_json
from ollama_nb_server.prompts.parsing.sections import (
    BLANKS,
    CallBroken,
    Kind,
    Rest,
    Section,
    SectionParser,
)
from ollama_nb_server.prompts.parsing.shapes import Shape, Tag, sequence

QUOTE = "<escape>"
CALL = re.compile(r"call:([^{]+)\{(.*)\}")
CALL_OF_LINES = re.compile(CALL.pattern, re.DOTALL)
INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)", re.ASCII)
# Go reads as much of a number as there is: 12 of "12 Main Street".
NUMBER_FIRST = re.compile(r"\s*([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)", re.ASCII)
PIECE = re.compile(r"<escape>.*?(?:<escape>|\Z)|.", re.DOTALL)
PIECE_OR_JSON = re.compile(rf"\"(?:[^\"\\]|\\.)*\"|{PIECE.pattern}", re.DOTALL)


@dataclass(frozen=True, slots=True)
class EscapedCall:
    """A name and values of which texts stand between tags.

    With `strict`, all is read as Ollama reads it: a body that is no call is one without a name, and
    a quote is a letter like any other. Otherwise values may be JSON.
    """

    opens: str = "<start_function_call>"
    closes: str = "<end_function_call>"
    strict: bool = False

    def read(self, body: str, tools: Sequence[Tool]) -> Sequence[Call]:
        """The call of a body."""
        found = CALL.search(body) if self.strict else CALL_OF_LINES.fullmatch(body.strip(BLANKS))
        if found is None:
            if not self.strict:
                raise CallBroken("no call:NAME{...}")
            return [Call("", {})]
        return [Call(found.group(1), self._pairs(found.group(2)))]

    def whole(self, body: str) -> bool:
        """Whether no text is open where a body ends."""
        return body.count(QUOTE) % 2 == 0

    def exact(self, body: str) -> bool:
        """Whether a body holds one call."""
        return self.opens not in body

    def shape(self, tools: Sequence[Tool]) -> Shape:
        """Any of the tools; texts between tags, all others as JSON."""
        return sequence(
            "call:", shapes.Choice(tuple(self._call(tool) for tool in tools)), Tag(self.closes)
        )

    def _call(self, tool: Tool) -> Shape:
        def argument(key: str) -> Shape:
            return sequence(f"{key}:", value(key, tool, opens=QUOTE, closes=QUOTE))

        return sequence(f"{tool.name}{{", listed(tool, argument, ","), "}")

    def _pairs(self, text: str) -> dict[str, Any]:
        pairs = (part.partition(":") for part in self._split(text))
        found = {}
        for key, colon, text in pairs:
            if colon:
                found[key] = self._value(text)
            elif not self.strict:
                raise CallBroken("an argument without a colon")
        return found

    def _split(self, text: str) -> Iterator[str]:
        start = depth = 0
        for found in (PIECE if self.strict else PIECE_OR_JSON).finditer(text):
            piece = found.group()
            depth += (piece in "{[") - (piece in "}]")
            if piece == "," and depth == 0:
                if found.start() > start:
                    yield text[start : found.start()]
                start = found.end()
        if text[start:]:
            yield text[start:]

    def _value(self, text: str) -> Any:
        if text.startswith(QUOTE) and text.endswith(QUOTE):
            return text[len(QUOTE) : -len(QUOTE)]
        if not self.strict and (found := of_json(text)) is not MISSING:
            return found
        if text in ("true", "false"):
            return text == "true"
        if self.strict and (found := _number(text)) is not MISSING:
            return found
        if text.startswith("[") and text.endswith("]"):
            return [self._value(part) for part in self._split(text[1:-1])]
        if text.startswith("{") and text.endswith("}"):
            return self._pairs(text[1:-1])
        return text


def _number(text: str) -> Any:
    if INTEGER.fullmatch(text) and -(2**63) <= int(text) < 2**63:
        return int(text)
    first = NUMBER_FIRST.match(text)
    return gojson.number(first.group(1)) if first else MISSING


CALLS = EscapedCall()


def _sections(calls: EscapedCall) -> dict[str, Section]:
    return {
        "answer": Section(
            Kind.CONTENT, {calls.opens: "call"}, skips_blanks=False, holds_blanks=False,
            rest=Rest.LOST,
        ),
        "call": Section(Kind.CALLS, {calls.closes: "answer"}, read=calls.read, whole=calls.whole,
            exact=calls.exact,
        ),
    }  # fmt: skip


STRICT, LOOSE = _sections(EscapedCall(strict=True)), _sections(CALLS)


def _parser(situation: Situation) -> SectionParser:
    sections = LOOSE if situation.lossless else STRICT
    return SectionParser(sections, "answer", situation.tools, lossless=situation.lossless)


FUNCTIONGEMMA = OutputFormat(_parser, (CALLS.opens, CALLS.closes), tools=True, calls=CALLS)
