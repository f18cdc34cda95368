"""DeepSeek V3.1, and Cogito, which fences the arguments of its calls.

The tool calls of an answer stand together in a section, each between tags of its own. Ollama loses
a call that cannot be read and all behind it in its section; here only that call is lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ollama_nb_server.prompts.parsing import gojson, shapes
from ollama_nb_server.prompts.parsing.notations import ends_inside
from ollama_nb_server.prompts.parsing.output_format import OutputFormat, of_sections, on
from ollama_nb_server.prompts.parsing.parts import Call, Situation, Tool
from ollama_nb_server.prompts.parsing.sections import (
    BLANKS,
    Broken,
    CallBroken,
    Kind,
    Rest,
    Section,
)
from ollama_nb_server.prompts.parsing.shapes import Shape, Tag, sequence

THINK, THOUGHT = "<think>", "</think>"
CALLS, CALLS_END = "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"
CALL, CALL_END = "<｜tool▁call▁begin｜>", "<｜tool▁call▁end｜>"
SEPARATOR = "<｜tool▁sep｜>"
OUTPUTS, OUTPUTS_END = "<｜tool▁outputs▁begin｜>", "<｜tool▁outputs▁end｜>"
OUTPUT, OUTPUT_END = "<｜tool▁output▁begin｜>", "<｜tool▁output▁end｜>"


@dataclass(frozen=True, slots=True)
class SeparatedCall:
    """Calls of a name and arguments: `before` SEPARATOR name `between` JSON `after`.

    Without `before` the name stands before the separator.
    """

    before: str = ""
    between: str = ""
    after: str = ""
    opens: str = CALLS
    closes: str = CALLS_END

    def read(self, body: str, tools: Sequence[Tool]) -> Sequence[Call]:
        """The one call between its tags."""
        name, separator, arguments = body.partition(SEPARATOR)
        if self.between:
            name, fence, arguments = arguments.partition(self.between)
            arguments, end, _ = arguments.partition(self.after)
            separator = separator and fence and end
        if not separator:
            raise CallBroken("invalid format")
        try:
            found = gojson.decode(arguments.strip(BLANKS))
        except ValueError as error:
            raise CallBroken(str(error)) from error
        if not isinstance(found, dict | None):
            raise CallBroken("arguments are no object")
        return [Call(name.strip(BLANKS), found or {})]

    def whole(self, body: str) -> bool:
        """Whether no text is open in the arguments where a body ends."""
        behind = body.partition(self.between or SEPARATOR)[2]
        return not ends_inside(behind) and (not self.after or self.after in behind)

    def exact(self, body: str) -> bool:
        """Whether nothing stands before the name and behind the arguments."""
        before, _, after = body.partition(SEPARATOR)
        if not self.between:
            return True
        ends = after.partition(self.between)[2].partition(self.after)[2]
        return before.strip(BLANKS) == self.before and not ends.strip(BLANKS)

    def shape(self, tools: Sequence[Tool]) -> Shape:
        """One or several calls of any of the tools."""
        one = shapes.Choice(tuple(self._call(tool) for tool in tools))
        return sequence(shapes.Repeat(sequence(Tag(CALL), one, Tag(CALL_END))), Tag(CALLS_END))

    def _call(self, tool: Tool) -> Shape:
        if not self.between:
            return sequence(tool.name, Tag(SEPARATOR), tool.shape)
        head = sequence(self.before, Tag(SEPARATOR), tool.name, self.between)
        return sequence(head, tool.shape, self.after)


def _sections(calls: SeparatedCall, outputs: str) -> dict[str, Section]:
    exits = {CALLS: "calls", outputs: "outputs"}
    keeps = frozenset({OUTPUT})
    return {
        "think": Section(Kind.THINKING, {THOUGHT: "after"}, skips_blanks=False, rest=Rest.LOST),
        "answer": Section(
            Kind.CONTENT, exits, skips_blanks=False, rest=Rest.KEPT, keeps_before=keeps
        ),
        "after": Section(Kind.CONTENT, exits, rest=Rest.KEPT, keeps_before=keeps),
        "calls": Section(Kind.DROPPED, {CALL: "call", CALLS_END: "after"}),
        "call": Section(
            Kind.CALLS, {CALL_END: "calls", CALLS_END: "after"}, read=calls.read,
            broken=Broken.DROPPED, drops=frozenset({CALLS_END}), whole=calls.whole,
            exact=calls.exact,
        ),
    }  # fmt: skip


DEEPSEEK_CALL = SeparatedCall()
COGITO_CALL = SeparatedCall("function", "\n```json\n", "\n```")

DEEPSEEK_SECTIONS = {
    **_sections(DEEPSEEK_CALL, OUTPUT),
    # A tool's result that a model makes up is told, though Ollama drops one without an end.
    "outputs": Section(
        Kind.CONTENT, {OUTPUT_END: "answer"}, skips_blanks=False, holds_blanks=False
    ),
}
COGITO_SECTIONS = {
    **_sections(COGITO_CALL, OUTPUTS),
    "outputs": Section(Kind.DROPPED, {OUTPUT: "output", OUTPUTS_END: "after"}),
    "output": Section(Kind.DROPPED, {OUTPUT_END: "outputs", OUTPUTS_END: "after"}),
}
TAGS = (THOUGHT, CALLS, CALLS_END, CALL, CALL_END, SEPARATOR, OUTPUT, OUTPUT_END)


def _deepseek_start(situation: Situation) -> str:
    return "think" if on(situation) and not situation.prefill else "answer"


def _cogito_start(situation: Situation) -> str:
    return "answer" if situation.tools else _deepseek_start(situation)


DEEPSEEK3 = OutputFormat(
    of_sections(DEEPSEEK_SECTIONS, _deepseek_start),
    TAGS, tools=True, thinking=True, calls=DEEPSEEK_CALL, thoughts=(THINK, THOUGHT),
)  # fmt: skip
COGITO = OutputFormat(
    of_sections(COGITO_SECTIONS, _cogito_start),
    (*TAGS, OUTPUTS, OUTPUTS_END),
    tools=True, thinking=True, calls=COGITO_CALL, thoughts=(THINK, THOUGHT),
)  # fmt: skip
