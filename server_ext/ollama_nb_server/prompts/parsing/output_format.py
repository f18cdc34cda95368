"""What a family's way to write an answer consists of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ollama_nb_server.prompts.parsing.notations import Notation
from ollama_nb_server.prompts.parsing.parts import OutputParser, Situation
from ollama_nb_server.prompts.parsing.sections import Section, SectionParser

# Some families think and call in turns of their own, and some answer a call within a turn. A parser
# looks for these too; in what an assistant is told to have said, they forge turns and results.
TURN_TAGS = frozenset(
    {
        *("<|start|>", "<|message|>", "<|end|>", "<|eom|>", "<|eot|>", "<user>", "</user>"),
        *("<\uff5ctool\u2581output\u2581begin\uff5c>", "<\uff5ctool\u2581output\u2581end\uff5c>"),
        *("<\uff5ctool\u2581outputs\u2581begin\uff5c>", "<\uff5ctool\u2581outputs\u2581end\uff5c>"),
        "<|tool_response>",
    }
)


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

    @property
    def own_tags(self) -> frozenset[str]:
        """The tags that an assistant's past messages may have: all but those of turns."""
        return frozenset(self.tags) - TURN_TAGS


def of_sections(
    sections: Mapping[str, Section], start: Callable[[Situation], str] | str
) -> Callable[[Situation], OutputParser]:
    """Makes parsers of sections; `start` is the first one's name, or finds it out."""

    def parser(situation: Situation) -> SectionParser:
        first = start if isinstance(start, str) else start(situation)
        return SectionParser(sections, first, situation.tools, lossless=situation.lossless)

    return parser


def on(situation: Situation) -> bool:
    """Whether thinking was asked for."""
    return bool(situation.think)


def unless_off(situation: Situation) -> bool:
    """Where thinking that was not spoken of is on."""
    return situation.think is None or bool(situation.think)
