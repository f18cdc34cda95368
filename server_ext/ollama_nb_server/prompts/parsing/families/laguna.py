"""Laguna: calls as GLM's or as JSON, in tags, bare, or as if the user had said them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from ollama_nb_server.prompts.parsing import gojson
from ollama_nb_server.prompts.parsing.arguments import read_arguments
from ollama_nb_server.prompts.parsing.families.glm import (
    KEY,
    KEY_END,
    VALUE,
    VALUE_END,
    KeyedCall,
)
from ollama_nb_server.prompts.parsing.families.mistral import balanced_end
from ollama_nb_server.prompts.parsing.json_values import may_end
from ollama_nb_server.prompts.parsing.notations import ends_inside, folded
from ollama_nb_server.prompts.parsing.output_format import OutputFormat, on
from ollama_nb_server.prompts.parsing.parts import Call, Situation, Tool
from ollama_nb_server.prompts.parsing.sections import (
    BLANKS,
    Broken,
    CallBroken,
    Kind,
    Section,
    SectionParser,
)
from ollama_nb_server.prompts.parsing.shapes import Shape

THINK, THOUGHT = "<think>", "</think>"
CALL, CALL_END = "<tool_call>", "</tool_call>"
USER, USER_END = "<user>", "</user>"
# What a bare call begins with.
BRACES = ('{"', "{\n", "{\r\n", "{ ")
ALIASES = {"read_file": "read", "write_file": "write", "edit_file": "edit", "web_fetch": "webfetch"}
PAIR = re.compile(r"<arg_key>(.*?)</arg_key>[ \t\r\n\f]*<arg_value>(.*?)</arg_value>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class LagunaCall:
    """A name with pairs of elements or an object behind it, or an object that holds both."""

    opens: str = CALL
    closes: str = CALL_END
    lines: bool = True

    def read(self, body: str, tools: Sequence[Tool]) -> Sequence[Call]:
        """The call of a body."""
        return [_call(_inner(body), tools)]

    def read_unclosed(self, body: str, tools: Sequence[Tool]) -> Sequence[Call]:
        """The call that an answer ended in."""
        return self.read(body, tools) if body.strip(BLANKS) else []

    def read_known(self, body: str, tools: Sequence[Tool]) -> Sequence[Call]:
        """The call of a body that may be none: only of tools that there are."""
        return [_known(_call(_inner(body), tools), tools)]

    def read_exact(self, body: str, tools: Sequence[Tool]) -> Sequence[Call]:
        """The call of a body of which nothing may be lost."""
        return [_known(_call(body.strip(BLANKS), tools), tools)]

    def exact(self, body: str) -> bool:
        """Whether a body holds one call and nothing else."""
        body = body.strip(BLANKS)
        if body.startswith("{") or KEY not in body:
            return CALL not in body
        name, _, pairs = body.partition(KEY)
        return CALL not in name and not PAIR.sub("", KEY + pairs).strip(BLANKS)

    def whole(self, body: str) -> bool:
        """Whether no argument is open where a body ends."""
        if KEY in body:
            return body.rfind(VALUE) <= max(body.rfind(VALUE_END), 0)
        return "{" not in body or not ends_inside(body)

    def shape(self, tools: Sequence[Tool]) -> Shape:
        """As GLM's."""
        return KeyedCall(self.opens, self.closes, self.lines).shape(tools)


@dataclass(frozen=True, slots=True)
class BareCall:
    """An object that stands in the text; `begins` has been taken for its tag."""

    begins: str

    def ends(self, body: str, since: int) -> int:
        """Where the object ends, 0 if it goes on; `since`: what has been looked at before."""
        if not may_end(body, since):
            return 0
        return max(balanced_end(self.begins + body, 0) - len(self.begins), 0)

    def read(self, body: str, tools: Sequence[Tool]) -> Sequence[Call]:
        """The call that an object is."""
        return [_of_object(self.begins + body, tools)]


def _call(text: str, tools: Sequence[Tool]) -> Call:
    if text.startswith("{"):
        return _of_object(text, tools)
    at = text.find(KEY)
    if at < 0 and (brace := text.find("{")) >= 0:
        return Call(_resolved(text[:brace].strip(BLANKS), tools), _arguments(text[brace:]))
    name = _resolved((text if at < 0 else text[:at]).strip(BLANKS), tools)
    pairs = PAIR.findall(text[at:]) if at >= 0 else []
    texts = {key.strip(BLANKS): value for key, value in pairs}
    return Call(name, read_arguments(name, texts, tools))


def _known(call: Call, tools: Sequence[Tool]) -> Call:
    if not any(tool.name == call.name for tool in tools):
        raise CallBroken("no call of a known tool")
    return call


def _inner(body: str) -> str:
    """A body without tags that a model wrote once too often."""
    body = body.strip(BLANKS)
    while body.startswith(CALL):
        body = body.removeprefix(CALL).strip(BLANKS)
    return body.partition(CALL_END)[0].partition(CALL)[0].strip(BLANKS)


def _of_object(text: str, tools: Sequence[Tool]) -> Call:
    try:
        found = gojson.decode(text)
    except ValueError as error:
        raise CallBroken(f"failed to parse Laguna JSON tool call: {error}") from error
    known = folded(found) if isinstance(found, dict) else {}
    name, arguments = known.get("name"), known.get("arguments")
    if not isinstance(name, str | None) or not isinstance(arguments, dict | None):
        raise CallBroken("failed to parse Laguna JSON tool call: wrong types")
    if not name:
        raise CallBroken("empty Laguna tool call name")
    return Call(_resolved(name, tools), arguments or {})


def _arguments(text: str) -> dict[str, Any]:
    try:
        found = gojson.decode(text)
    except ValueError as error:
        raise CallBroken(f"failed to parse Laguna JSON tool call arguments: {error}") from error
    return found if isinstance(found, dict) else {}


def _resolved(name: str, tools: Sequence[Tool]) -> str:
    """The name of the tool that is meant."""
    names = {tool.name for tool in tools}
    alias = ALIASES.get(name, name)
    return alias if name not in names and alias in names else name


LAGUNA_CALL = LagunaCall()


def _sections(reopened: Kind, *, tools: bool, lossless: bool) -> dict[str, Section]:
    bare = {f"bare {i}": BareCall(begins) for i, begins in enumerate(BRACES)}
    names = {one.begins: name for name, one in bare.items()}
    calls = {CALL: "call", **({USER: "user", **names} if tools else {})}
    ends = {THOUGHT: "after", CALL: "call"}
    answer = Section(
        Kind.CONTENT, {THINK: "reopened", THOUGHT: "after", **calls}, leads={THOUGHT: "after"},
        keeps_before=frozenset({THINK}),
    )  # fmt: skip
    return {
        "think": Section(Kind.THINKING, ends, leads={THINK: "thinking"}),
        "thinking": Section(Kind.THINKING, ends),
        "reopened": Section(reopened, ends),
        "after": answer,
        "call": Section(
            Kind.CALLS, {CALL_END: "after"}, whole=LAGUNA_CALL.whole, exact=LAGUNA_CALL.exact,
            read=LAGUNA_CALL.read_exact if lossless else LAGUNA_CALL.read,
            read_unclosed=LAGUNA_CALL.read_exact if lossless else LAGUNA_CALL.read_unclosed,
        ),
        "user": Section(
            Kind.CALLS, {USER_END: "after"}, read=LAGUNA_CALL.read_known, broken=Broken.TOLD,
            whole=LAGUNA_CALL.whole, exact=LAGUNA_CALL.exact,
        ),
        **{
            name: Section(
                Kind.CALLS, {"": "after"}, read=one.read, broken=Broken.TOLD, ends=one.ends,
                skips_blanks=False,
            )
            for name, one in bare.items()
        },
    }  # fmt: skip


SECTIONS = {
    (thinks, tools, lossless): _sections(
        Kind.THINKING if thinks else Kind.UNWANTED, tools=tools, lossless=lossless
    )
    for thinks, tools, lossless in product((False, True), repeat=3)
}


def _begun(situation: Situation, *, thinks: bool) -> SectionParser:
    sections = SECTIONS[on(situation), bool(situation.tools), situation.lossless]
    start = "think" if thinks else "after"
    return SectionParser(sections, start, situation.tools, lossless=situation.lossless)


def _laguna(situation: Situation) -> SectionParser:
    return _begun(situation, thinks=on(situation) and not situation.after_assistant)


def _poolside(situation: Situation) -> SectionParser:
    return _begun(situation, thinks=on(situation))


TAGS = (THINK, THOUGHT, CALL, CALL_END, USER, USER_END, KEY, KEY_END, VALUE, VALUE_END)
LAGUNA, POOLSIDE = (
    OutputFormat(parser, TAGS, tools=True, thinking=True, calls=calls, thoughts=(THINK, THOUGHT))
    for parser, calls in ((_laguna, LAGUNA_CALL), (_poolside, LagunaCall(lines=False)))
)
