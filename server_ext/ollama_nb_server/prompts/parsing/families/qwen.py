"""Qwen and those who write as it does: Nemotron, Ornith."""

from __future__ import annotations

from collections.abc import Callable

from ollama_nb_server.prompts.parsing.notations import JsonCall, TaggedCall
from ollama_nb_server.prompts.parsing.output_format import OutputFormat, of_sections, unless_off
from ollama_nb_server.prompts.parsing.parts import Situation
from ollama_nb_server.prompts.parsing.sections import Kind, Rest, Section

THINK, THOUGHT = "<think>", "</think>"
JSON_CALL = JsonCall("<tool_call>", "</tool_call>")
UNCHECKED_CALL = JsonCall("<tool_call>", "</tool_call>", checked=False)
TAGGED_CALL = TaggedCall("<tool_call>", "</tool_call>")


def sectioned(
    calls: JsonCall | TaggedCall,
    *,
    thinks: Callable[[Situation], bool] | None = None,
    reopens: bool = True,
    trims: bool = True,
    tags: tuple[str, ...] = (THINK, THOUGHT),
) -> OutputFormat:
    """An answer with calls in it, behind a thought that has begun before its first word.

    `thinks` decides whether there is one; a call ends it too. `reopens`: a model may write the tag
    before its thought once more; blanks behind that are dropped if `trims`. Half a tag at the end
    of an answer is lost, as Ollama loses it.
    """
    ends = {THOUGHT: "after", calls.opens: "calls"}
    sections = {
        "think": Section(
            Kind.THINKING, ends, skips_blanks=False, rest=Rest.LOST,
            leads={THINK: "thinking"} if reopens else {},
        ),
        "thinking": Section(Kind.THINKING, ends, rest=Rest.LOST, skips_blanks=trims),
        "answer": Section(
            Kind.CONTENT, {calls.opens: "calls"}, skips_blanks=False, rest=Rest.LOST
        ),
        "after": Section(Kind.CONTENT, {calls.opens: "calls"}, rest=Rest.LOST),
        "calls": Section(
            Kind.CALLS, {calls.closes: "after"}, read=calls.read, whole=calls.whole,
            exact=calls.exact,
        ),
    }  # fmt: skip
    return OutputFormat(
        of_sections(sections, lambda s: "think" if thinks is not None and thinks(s) else "answer"),
        tags=(*tags, calls.opens, calls.closes),
        tools=True,
        thinking=thinks is not None,
        calls=calls,
        thoughts=(THINK, THOUGHT) if thinks else None,
    )


def unless_off_or_begun(situation: Situation) -> bool:
    """Where thinking is on, and the answer's content has not begun in the prompt."""
    return unless_off(situation) and not situation.prefill


QWEN3 = sectioned(JSON_CALL)
QWEN3_THINKING = sectioned(JSON_CALL, thinks=unless_off, trims=False)  # as recorded
QWEN3_CODER = sectioned(TAGGED_CALL, tags=())
QWEN35 = sectioned(TAGGED_CALL, thinks=unless_off_or_begun)
QWEN3_VL = sectioned(UNCHECKED_CALL, reopens=False, tags=(THOUGHT,))
QWEN3_VL_THINKING = sectioned(
    UNCHECKED_CALL, thinks=lambda s: not s.prefill, reopens=False, tags=(THOUGHT,)
)
