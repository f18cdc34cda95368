"""Cohere's blocks: a thought, then texts and lists of actions, each between tags of its own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from ollama_nb_server.prompts.parsing import gojson, shapes
from ollama_nb_server.prompts.parsing.json_scan import BracketScan
from ollama_nb_server.prompts.parsing.notations import ends_inside, folded
from ollama_nb_server.prompts.parsing.output_format import OutputFormat, of_sections, unless_off
from ollama_nb_server.prompts.parsing.parts import Call, Situation, Tool
from ollama_nb_server.prompts.parsing.sections import BLANKS, CallBroken, Kind, Rest, Section
from ollama_nb_server.prompts.parsing.shapes import Shape, Tag, sequence

THINK, THOUGHT = "<|START_THINKING|>", "<|END_THINKING|>"
TEXT, TEXT_END = "<|START_TEXT|>", "<|END_TEXT|>"
RESPONSE, RESPONSE_END = "<|START_RESPONSE|>", "<|END_RESPONSE|>"
ACTION, ACTION_END = "<|START_ACTION|>", "<|END_ACTION|>"
TURN_END = "<|END_OF_TURN_TOKEN|>"


@dataclass(frozen=True, slots=True)
class Actions:
    """A JSON list of objects with an id, a name and parameters."""

    opens: str = ACTION
    closes: str = ACTION_END

    def read(self, body: str, tools: Sequence[Tool]) -> Sequence[Call]:
        """The calls of a body; of a broken list those objects that are whole."""
        body = body.strip(BLANKS)
        try:
            found = [] if not body else gojson.decode(body)
            return [_call(one) for one in found or ()]
        except (ValueError, TypeError, CallBroken):
            return _whole_ones(body)

    def read_all(self, body: str, tools: Sequence[Tool]) -> Sequence[Call]:
        """The calls of a body of which nothing may be lost."""
        try:
            found = gojson.decode(body.strip(BLANKS))
        except ValueError as error:
            raise CallBroken(str(error)) from error
        if not isinstance(found, list) or not found:
            raise CallBroken("no list of actions")
        return [_call(one) for one in found]

    def whole(self, body: str) -> bool:
        """Whether no text is open where a body ends."""
        return not ends_inside(body)

    def shape(self, tools: Sequence[Tool]) -> Shape:
        """One or several calls of any of the tools; the ids are numbers from 0 on."""
        one = shapes.Choice(tuple(self._call(tool) for tool in tools))
        return sequence("[\n\n    ", shapes.Repeat(one, ",\n\n    "), "\n\n]", Tag(self.closes))

    def _call(self, tool: Tool) -> Shape:
        name = json.dumps(tool.name, ensure_ascii=False)
        number = sequence('{"tool_call_id": "', DIGITS, f'", "tool_name": {name}, "parameters": ')
        return sequence(number, tool.shape, "}")


DIGITS = shapes.Repeat(shapes.Choice(tuple(shapes.Text(str(n)) for n in range(10))), most=3)


def _call(found: object) -> Call:
    """The call of an object; its id counts from 0 in every answer, so that it gets another one."""
    known = folded(found) if isinstance(found, dict) else {}
    name, arguments = known.get("tool_name") or "", known.get("parameters")
    texts = isinstance(name, str) and isinstance(known.get("tool_call_id"), str | None)
    if not texts or not isinstance(found, dict | None) or not isinstance(arguments, dict | None):
        raise CallBroken("no action")
    return Call(name, arguments or {})


def _whole_ones(text: str) -> list[Call]:
    scan, calls = BracketScan(), []
    while (span := scan.next(text)) is not None:
        try:
            calls.append(_call(gojson.decode(text[span.start : span.end])))
        except (ValueError, CallBroken):
            continue
    return calls


ACTIONS = Actions()
STARTS = {TEXT: "text", RESPONSE: "text", ACTION: "actions"}


def _sections(*, lossless: bool) -> dict[str, Section]:
    ends = dict.fromkeys((TEXT_END, RESPONSE_END, TURN_END), "between")
    return {
        "think": Section(Kind.THINKING, {THOUGHT: "between"}, skips_blanks=False, rest=Rest.LOST),
        # Text without its tag is told; a tag may still come.
        "between": Section(
            Kind.CONTENT, {**STARTS, **ends}, leads={**STARTS, TURN_END: "between"},
            holds_blanks=False, rest=Rest.KEPT,
        ),
        "text": Section(
            Kind.CONTENT, ends, skips_blanks=False, holds_blanks=False, rest=Rest.KEPT
        ),
        "actions": Section(
            Kind.CALLS, {ACTION_END: "between"}, unclosed=True, whole=ACTIONS.whole,
            read=ACTIONS.read_all if lossless else ACTIONS.read,
        ),
    }  # fmt: skip


def _start(situation: Situation) -> str:
    if situation.prefill:
        return "text"
    return "think" if unless_off(situation) else "between"


LOSSY, LOSSLESS = (of_sections(_sections(lossless=one), _start) for one in (False, True))

COHERE = OutputFormat(
    lambda situation: (LOSSLESS if situation.lossless else LOSSY)(situation),
    (THINK, THOUGHT, TEXT, TEXT_END, ACTION, ACTION_END, RESPONSE, RESPONSE_END),
    tools=True, thinking=True, calls=ACTIONS, thoughts=(THINK, THOUGHT),
)  # fmt: skip
