"""How a model writes its answers whose prompts its own Jinja template writes.

llama.cpp finds that out from the template's text, and so do we, by a table (`native_families`).
Source: reference/ollama-models.md 7.6.

llama.cpp binds every call of these models by a grammar, so that Ollama never saw what becomes of a
broken one: here it is always told as the text that it is, `lossless` or not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from enum import Enum
from functools import lru_cache, partial

from ollama_nb_server.prompts.parsing.formats import OutputFormat
from ollama_nb_server.prompts.parsing.native_families import (
    ANY_OTHER,
    FAMILIES,
    Family,
)
from ollama_nb_server.prompts.parsing.notations import Notation, SelfEnding
from ollama_nb_server.prompts.parsing.parts import OutputParser, Situation, Tool
from ollama_nb_server.prompts.parsing.sections import Kind, Section, SectionParser

CACHE_SIZE = 64  # templates


def native_format(template: str, prompt: str = "") -> OutputFormat:
    """The way to write answers that belongs to a Jinja template.

    Found once for a template, so that it may be asked for each request.

    Parameters
    ----------
    template
        The template's source.
    prompt
        The text that it made of a conversation. Many end with the opening tag of a thought, or with
        a thought that is empty; only its end is looked at.

    Examples
    --------
    >>> form = native_format("... <tool_call> ... <think> ...", "<|assistant|><think>")
    >>> form.parser(Situation()).feed("Hm.</think>Four.")
    Parts(thinking='Hm.', content='Four.', calls=(), lost='')
    """
    family, thoughts = native_family(template), _thoughts(template)
    return _format(family, thoughts, _start(thoughts, prompt))


@lru_cache(maxsize=CACHE_SIZE)
def native_family(template: str) -> Family:
    """The first row of the table whose signs are in a template."""
    return next((family for family in FAMILIES if family.wrote(template)), ANY_OTHER)


@lru_cache(maxsize=CACHE_SIZE)
def _thoughts(template: str) -> tuple[str, str] | None:
    """The tags of thoughts, if the template knows them: for all others they are words."""
    family = native_family(template)
    tags = family.thoughts
    if tags is None or family.always_thinks or tags[0] in template or tags[1] in template:
        return tags
    return None


class Start(Enum):
    """Where an answer begins."""

    OPEN = "a thought may come first"
    THINK = "a thought has begun"
    ANSWER = "the thought is over"


def _start(thoughts: tuple[str, str] | None, prompt: str) -> Start:
    if thoughts is None:
        return Start.ANSWER
    opens, closes = thoughts
    end = prompt.rstrip()
    if end.endswith(opens.rstrip()):
        return Start.THINK
    return Start.ANSWER if end.endswith(closes) else Start.OPEN


@lru_cache(maxsize=CACHE_SIZE)
def _format(family: Family, thoughts: tuple[str, str] | None, start: Start) -> OutputFormat:
    parser = partial(_parser, family, thoughts, start)
    if family.built_in is not None:
        parser = partial(_lossless, family.built_in)
    return OutputFormat(
        parser,
        tags=family.tags,
        tools=True,
        thinking=thoughts is not None,
        calls=family.calls,
        thoughts=thoughts,
    )


def _parser(
    family: Family, thoughts: tuple[str, str] | None, start: Start, situation: Situation
) -> OutputParser:
    begins = Start.ANSWER if situation.prefill else start
    sections = _sections(family, thoughts, situation.tools)
    return SectionParser(sections, begins.name, situation.tools, lossless=True)


def _lossless(form: OutputFormat, situation: Situation) -> OutputParser:
    return form.parser(replace(situation, lossless=True))


def _sections(
    family: Family, thoughts: tuple[str, str] | None, tools: Sequence[Tool]
) -> dict[str, Section]:
    """The sections of an answer, those of calls by their tags; without tools nothing is a call."""
    openers = family.begins(tools) if tools else {}
    first = family.begins_first(tools) if tools else {}
    opens, closes = thoughts or ("", "")
    exits = {**dict.fromkeys(family.wrappers, "AFTER"), **{tag: tag for tag in openers}}
    leads = {**dict.fromkeys(family.headers, "AFTER"), **{tag: tag for tag in first}}
    thought = {opens: "THINK"} if opens else {}
    exits |= thought if family.thinks_again else {}
    ends_thought = exits if family.calls_end_thoughts else {}
    content = partial(Section, Kind.CONTENT, exits, holds_blanks=False)
    return {
        "OPEN": content(skips_blanks=False, leads={**thought, **leads}),
        "ANSWER": content(skips_blanks=False, leads=leads),
        "AFTER": content(),
        "THINK": Section(
            Kind.THINKING, {closes: "AFTER", **ends_thought}, opens=opens, holds_blanks=False
        ),
        **{tag: _calls(notation) for tag, notation in {**openers, **first}.items()},
    }


def _calls(notation: Notation) -> Section:
    """Calls to their closing tag, or to where they end by themselves, or with the answer."""
    exits = {notation.closes: "AFTER"}
    ends = notation.ends if isinstance(notation, SelfEnding) and not notation.closes else None
    whole, exact = (getattr(notation, name, None) for name in ("whole", "exact"))
    return Section(
        Kind.CALLS, exits, read=notation.read, ends=ends, unclosed=True, whole=whole, exact=exact
    )
