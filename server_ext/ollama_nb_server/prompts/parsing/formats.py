"""The ways in which families write their answers, by the names that models ask for.

Sources: reference/ollama-models.md 7.5. A new family is a row here, and a notation if its calls are
written in a way of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ollama_nb_server.prompts.parsing.notations import JsonCall, Notation, TaggedCall
from ollama_nb_server.prompts.parsing.parts import OutputParser, Situation
from ollama_nb_server.prompts.parsing.sections import Kind, Section, SectionParser


@dataclass(frozen=True, slots=True)
class OutputFormat:
    """A family's way to write an answer.

    Attributes
    ----------
    parser
        A parser for one answer.
    tags
        The texts that parsers look for: control tokens of these names must be written out.
    tools, thinking
        Whether calls and thoughts are told apart.
    calls
        How calls are written, if they can be bound to their tools.
    thoughts
        The texts around a thought, where it is told apart.
    """

    parser: Callable[[Situation], OutputParser]
    tags: tuple[str, ...] = ()
    tools: bool = False
    thinking: bool = False
    calls: Notation | None = None
    thoughts: tuple[str, str] | None = None


THINK, THOUGHT = "<think>", "</think>"


def sectioned(
    calls: Notation,
    *,
    thinks: Callable[[Situation], bool] | None = None,
) -> OutputFormat:
    """An answer with calls in it, behind a thought that has begun before its first word.

    `thinks` decides whether there is one; a call ends it too.
    """
    sections = {
        "think": Section(Kind.THINKING, {THOUGHT: "after", calls.opens: "calls"}, opens=THINK),
        "answer": Section(Kind.CONTENT, {calls.opens: "calls"}, skips_blanks=False),
        "after": Section(Kind.CONTENT, {calls.opens: "calls"}),
        "calls": Section(Kind.CALLS, {calls.closes: "after"}, read=calls.read),
    }

    def parser(situation: Situation) -> SectionParser:
        begins = thinks is not None and thinks(situation)
        start = "think" if begins else "answer"
        return SectionParser(sections, start, situation.tools, lossless=situation.lossless)

    return OutputFormat(
        parser,
        tags=(THINK, THOUGHT, calls.opens, calls.closes),
        tools=True,
        thinking=thinks is not None,
        calls=calls,
        thoughts=(THINK, THOUGHT) if thinks else None,
    )


def unless_off(situation: Situation) -> bool:
    """Where thinking that was not spoken of is on."""
    return situation.think is None or bool(situation.think)


JSON_CALL = JsonCall("<tool_call>", "</tool_call>")
TAGGED_CALL = TaggedCall("<tool_call>", "</tool_call>")

FORMATS: Mapping[str, OutputFormat] = {
    "qwen3": sectioned(JSON_CALL),
    "qwen3-thinking": sectioned(JSON_CALL, thinks=unless_off),
    "qwen3-coder": sectioned(TAGGED_CALL),
    "qwen3.5": sectioned(TAGGED_CALL, thinks=lambda s: unless_off(s) and not s.prefill),
}
