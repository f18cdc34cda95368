"""Gemma 4: `<|tool_call>call:NAME{key:<|"|>text<|"|>,n:1}<tool_call|>`, thoughts in a channel."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from ollama_nb_server.prompts.parsing import gojson, shapes
from ollama_nb_server.prompts.parsing.arguments import listed, value
from ollama_nb_server.prompts.parsing.families.gemma_repair import candidates
from ollama_nb_server.prompts.parsing.output_format import OutputFormat, of_sections, on
from ollama_nb_server.prompts.parsing.parts import Call, OutputParser, Situation, Tool
from ollama_nb_server.prompts.parsing.sections import (
    BLANKS,
    Broken,
    CallBroken,
    Kind,
    Rest,
    Section,
)
from ollama_nb_server.prompts.parsing.shapes import Shape, Tag, sequence

CHANNEL, CHANNEL_END, CHANNEL_NAME = "<|channel>", "<channel|>", "thought\n"
CALL, CALL_END, RESPONSE = "<|tool_call>", "<tool_call|>", "<|tool_response>"
QUOTE = '<|"|>'
BARE_KEY = re.compile(r"\w+")
# A text in its own quotes, one in JSON's, or a key without any.
PIECE = re.compile(
    r"<\|\"\|>(?P<text>.*?)<\|\"\|>|\"(?:[^\"\\]|\\.)*\"|(?P<before>[{,]\s*)(?P<key>\w+):",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class BraceCall:
    """A name and an object with bare keys, whose texts stand in quotes of their own."""

    opens: str = CALL
    closes: str = CALL_END

    def read(self, body: str, tools: Sequence[Tool]) -> Sequence[Call]:
        """The call of a body; one with broken quotes is mended where that can be done."""
        head, brace, rest = body.partition("{")
        if not head.startswith("call:") or not brace:
            raise CallBroken("expected 'call:', a name and '{'")
        name = head.removeprefix("call:").strip(BLANKS)
        properties = next((tool.properties for tool in tools if tool.name == name), {})
        for text in (brace + rest, *candidates(brace + rest, properties)):
            try:
                found = gojson.decode(as_json(text))
            except ValueError:
                continue
            if isinstance(found, dict):
                return [Call(name, found)]
        raise CallBroken("its arguments are no object")

    def whole(self, body: str) -> bool:
        """Whether no text is open where a body ends."""
        return body.count(QUOTE) % 2 == 0

    def shape(self, tools: Sequence[Tool]) -> Shape:
        """Any of the tools; texts in the quotes, all others as JSON."""
        return sequence(
            "call:", shapes.Choice(tuple(self._call(tool) for tool in tools)), Tag(self.closes)
        )

    def _call(self, tool: Tool) -> Shape:
        def argument(key: str) -> Shape:
            name = key if BARE_KEY.fullmatch(key) else json.dumps(key, ensure_ascii=False)
            return sequence(f"{name}:", value(key, tool, opens=QUOTE, closes=QUOTE))

        return sequence(f"{tool.name}{{", listed(tool, argument, ","), "}")


def as_json(text: str) -> str:
    """An object in Gemma's form as JSON.

    Examples
    --------
    >>> as_json('{at:<|"|>sea<|"|>,n:1}')
    '{"at":"sea","n":1}'
    """
    return PIECE.sub(_piece_as_json, text)


def _piece_as_json(found: re.Match[str]) -> str:
    if (text := found.group("text")) is not None:
        return json.dumps(text, ensure_ascii=False)
    if (key := found.group("key")) is not None:
        return f'{found.group("before")}"{key}":'
    return found.group()


BRACE_CALL = BraceCall()


def _sections(thinking: Kind) -> dict[str, Section]:
    exits = {CHANNEL: "channel", CALL: "call"}
    thought = {CHANNEL_END: "after"}
    noise = {CALL_END: "noise", RESPONSE: "noise"}
    return {
        "answer": Section(Kind.CONTENT, exits, skips_blanks=False, rest=Rest.KEPT),
        "after": Section(Kind.CONTENT, exits, rest=Rest.KEPT),
        "channel": Section(
            thinking, thought, leads={CHANNEL_NAME: "thinking"}, skips_blanks=False, rest=Rest.KEPT
        ),
        "thinking": Section(thinking, thought, skips_blanks=False, rest=Rest.KEPT),
        "call": Section(
            Kind.CALLS, {CALL_END: "noise"}, read=BRACE_CALL.read, broken=Broken.DROPPED,
            unclosed=True, whole=BRACE_CALL.whole,
        ),
        # Some models close a call once more, or begin its answer.
        "noise": Section(Kind.CONTENT, exits, leads=noise, rest=Rest.KEPT),
    }  # fmt: skip


def _start(situation: Situation) -> str:
    return "thinking" if on(situation) and situation.after_tool else "answer"


WANTED = of_sections(_sections(Kind.THINKING), _start)
UNWANTED = of_sections(_sections(Kind.UNWANTED), "answer")


def _parser(situation: Situation) -> OutputParser:
    return (WANTED if on(situation) else UNWANTED)(situation)


TAGS = (CHANNEL, CHANNEL_END, CALL, CALL_END, RESPONSE, QUOTE)
THOUGHTS = (f"{CHANNEL}{CHANNEL_NAME}", CHANNEL_END)
GEMMA4 = OutputFormat(_parser, TAGS, tools=True, thinking=True, calls=BRACE_CALL, thoughts=THOUGHTS)
GEMMA4_NO_THINKING = OutputFormat(UNWANTED, TAGS, tools=True, calls=BRACE_CALL, thoughts=THOUGHTS)
