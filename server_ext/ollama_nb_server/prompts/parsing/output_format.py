"""What a family's way to write an answer consists of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ollama_nb_server.prompts.parsing.notations import Notation
from ollama_nb_server.prompts.parsing.parts import OutputParser, Situation
from ollama_nb_server.prompts.parsing.sections import Section, SectionParser


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
