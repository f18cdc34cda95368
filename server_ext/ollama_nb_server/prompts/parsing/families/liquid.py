"""LFM2: a list of Python calls between tags, `[f(a="x"), g(n=1)]`.

Ollama also takes an answer for calls that looks like one without tags, if it comes in one piece
with the end; text that streams has been told by then, so here it is always content.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ollama_nb_server.prompts.parsing import shapes
from ollama_nb_server.prompts.parsing.families.olmo import keywords
from ollama_nb_server.prompts.parsing.output_format import OutputFormat, on
from ollama_nb_server.prompts.parsing.parts import Call, Situation, Tool
from ollama_nb_server.prompts.parsing.python_values import (
    MISSING,
    PIECE,
    closing,
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
WORDS = {"True": "true", "False": "false", "None": "null"}
WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'", re.DOTALL)


@dataclass(frozen=True, slots=True)
class CallList:
    """Calls in one list. With `strict`, a text keeps its escapes, as Ollama leaves them."""

    opens: str = "<|tool_call_start|>"
    closes: str = "<|tool_call_end|>"
    strict: bool = False

    def read(self, body: str, tools: Sequence[Tool]) -> Sequence[Call]:
        """The calls of a body."""
        body = body.strip(BLANKS).removeprefix(self.opens).strip(BLANKS)
        if body.startswith("[") and body.endswith("]"):
            body = body[1:-1]
        calls = []
        while body := body.strip(BLANKS):
            body = body.removeprefix(",").strip(BLANKS)
            if body:
                call, body = self._first(body)
                calls.append(call)
        if not calls:
            raise CallBroken("no tool calls found")
        return calls

    def whole(self, body: str) -> bool:
        """Whether no text is open where a body ends."""
        return not open_quote(body)

    def shape(self, tools: Sequence[Tool]) -> Shape:
        """One or several calls of any of the tools, values as JSON."""
        calls = tuple(sequence(f"{tool.name}(", keywords(tool), ")") for tool in tools)
        return sequence("[", shapes.Repeat(shapes.Choice(calls), ", "), "]", Tag(self.closes))

    def _first(self, text: str) -> tuple[Call, str]:
        at = text.find("(")
        name = text[:at].strip(BLANKS)
        end = closing(text, at + 1)
        if at < 0 or not name or end < 0:
            raise CallBroken("invalid tool call: no name or no parentheses")
        return Call(name, self._arguments(text[at + 1 : end])), text[end + 1 :]

    def _arguments(self, text: str) -> dict[str, Any]:
        found = {}
        for part in split(text):
            if not part.strip(BLANKS):
                continue
            key, equals, value = part.partition("=")
            if not equals or not key.strip(BLANKS):
                raise CallBroken("invalid argument: expected a key, '=' and a value")
            found[key.strip(BLANKS)] = self._value(value.strip(BLANKS))
        return found

    def _value(self, text: str) -> Any:
        if is_quoted(text):
            return text[1:-1] if self.strict else _text(text)
        value = word_or_number(text)
        if value is MISSING and text[:1] in ("[", "{"):
            value = of_json(text)
            value = of_json(_as_json(text)) if value is MISSING else value
        return text if value is MISSING else value


def _text(text: str) -> Any:
    value = of_json(text)
    return unescaped(text[1:-1]) if value is MISSING else value


def _as_json(text: str) -> str:
    """A Python list or dictionary as JSON."""
    return WORD.sub(lambda found: _json_word(found.group()), text)


def _json_word(word: str) -> str:
    if word[0] != "'":
        return WORDS.get(word, word)
    inside = PIECE.sub(lambda found: '\\"' if found.group() == '"' else found.group(), word[1:-1])
    return f'"{inside}"'


CALLS = CallList()


def _sections(calls: CallList) -> dict[str, Section]:
    exits = {calls.opens: "calls"}
    thinking = Section(Kind.THINKING, {THOUGHT: "after"}, leads={THINK: "thinking"}, rest=Rest.LOST)
    return {
        "look": Section(Kind.CONTENT, exits, leads={THINK: "thinking"}, rest=Rest.KEPT),
        "thinking": thinking,
        "answer": Section(Kind.CONTENT, exits, skips_blanks=False, rest=Rest.KEPT),
        "after": Section(Kind.CONTENT, exits, rest=Rest.KEPT),
        "calls": Section(
            Kind.CALLS, {calls.closes: "after"}, read=calls.read, broken=Broken.DEAFENING,
            whole=calls.whole,
        ),
    }  # fmt: skip


STRICT, LOOSE = _sections(CallList(strict=True)), _sections(CALLS)


def _parser(situation: Situation) -> SectionParser:
    sections = LOOSE if situation.lossless else STRICT
    return SectionParser(sections, "answer", situation.tools, lossless=situation.lossless)


def _thinking_parser(situation: Situation) -> SectionParser:
    sections = LOOSE if situation.lossless else STRICT
    start = "look" if on(situation) and not situation.prefill else "answer"
    return SectionParser(sections, start, situation.tools, lossless=situation.lossless)


TAGS = (THINK, THOUGHT, CALLS.opens, CALLS.closes)
LFM2 = OutputFormat(_parser, TAGS, tools=True, calls=CALLS)
LFM2_THINKING = OutputFormat(
    _thinking_parser, TAGS, tools=True, thinking=True, calls=CALLS, thoughts=(THINK, THOUGHT)
)
