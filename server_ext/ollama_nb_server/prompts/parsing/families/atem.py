"""Glimmer's calls: `<atem:invoke name="f">` with `<atem:parameter name="a">` elements in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ollama_nb_server.prompts.parsing import shapes
from ollama_nb_server.prompts.parsing.arguments import listed, read_argument, value
from ollama_nb_server.prompts.parsing.parts import Call, Tool
from ollama_nb_server.prompts.parsing.sections import BLANKS, CallBroken
from ollama_nb_server.prompts.parsing.shapes import Shape, Tag, sequence

MESSAGE, TURN_END = "<|message|>", "<|eot|>"
CALLS, CALLS_END = "<atem:function_calls>", "</atem:function_calls>"
INVOKE, INVOKE_END = '<atem:invoke name="', "</atem:invoke>"
PARAMETER, PARAMETER_END = '<atem:parameter name="', "</atem:parameter>"
NAME_END = '">'


@dataclass(frozen=True, slots=True)
class AtemCall:
    """One function in a wrapper of its own."""

    opens: str = MESSAGE + CALLS
    closes: str = TURN_END

    def read(self, body: str, tools: Sequence[Tool]) -> Sequence[Call]:
        """The call of a body without the opening tag."""
        return [call_of(CALLS + body.removesuffix(self.closes), tools)]

    def shape(self, tools: Sequence[Tool]) -> Shape:
        """Any of the tools; texts stand as they are."""
        calls = shapes.Choice(tuple(self._call(tool) for tool in tools))
        return sequence("\n", calls, f"{INVOKE_END}\n{CALLS_END}", Tag(self.closes))

    def _call(self, tool: Tool) -> Shape:
        def argument(key: str) -> Shape:
            head, tail = f"{PARAMETER}{key}{NAME_END}", f"{PARAMETER_END}\n"
            return sequence(head, value(key, tool, closes=tail))

        return sequence(f"{INVOKE}{tool.name}{NAME_END}\n", listed(tool, argument))


def call_of(body: str, tools: Sequence[Tool], name: str = "") -> Call:
    """The call of a body, with arguments typed as those of the tool `name`, or of its own name.

    Raises
    ------
    CallBroken
        With Ollama's words for what is wrong.
    """
    found, parameters = _invoked(body)
    wanted = name or resolved(found, tools)
    tool = next((tool for tool in tools if tool.name == wanted), Tool(wanted))
    texts = _parameters(parameters).items()
    return Call(found, {key: read_argument(text, key, tool) for key, text in texts})


def name_in(body: str) -> str:
    """The name in a wrapper that is whole, else nothing."""
    inside = _inside(body, CALLS, CALLS_END)
    if inside is None or not inside.startswith(INVOKE):
        return ""
    found = _cut_name(inside.removeprefix(INVOKE))
    return found[0] if found is not None else ""


def resolved(name: str, tools: Sequence[Tool]) -> str:
    """The tool that a name means: a namespace may stand before it twice."""
    names = {tool.name.strip(BLANKS) for tool in tools}
    space, dot, rest = name.partition(".")
    twice = bool(dot) and rest in names and rest.partition(".")[0] == space
    return rest if name not in names and twice else name


def _inside(body: str, opens: str, closes: str) -> str | None:
    body = body.strip(BLANKS)
    if len(body) < len(opens + closes) or not (body.startswith(opens) and body.endswith(closes)):
        return None
    return body[len(opens) : len(body) - len(closes)].strip(BLANKS)


def _invoked(body: str) -> tuple[str, str]:
    inside = _inside(body, CALLS, CALLS_END)
    if inside is None:
        raise CallBroken("missing ATEM function_calls wrapper")
    if not inside.startswith(INVOKE) or not inside.endswith(INVOKE_END):
        raise CallBroken("missing ATEM invoke wrapper")
    found = _cut_name(inside.removeprefix(INVOKE))
    if found is None or len(found[1]) < len(INVOKE_END):
        raise CallBroken("malformed ATEM invoke name")
    return found[0], found[1].removesuffix(INVOKE_END).removeprefix("\n").removesuffix("\n")


def _cut_name(text: str) -> tuple[str, str] | None:
    """A name and what follows; a message's tag that slipped into it is left out."""
    name = ""
    while True:
        ends, slipped = text.find(NAME_END), text.find(MESSAGE)
        if slipped < 0 or 0 <= ends < slipped:
            return (name + text[:ends], text[ends + len(NAME_END) :]) if ends >= 0 else None
        name, text = name + text[:slipped], text[slipped + len(MESSAGE) :]
        if text.startswith(PARAMETER):
            return name, text


def _parameters(text: str) -> dict[str, str]:
    found = {}
    while text:
        if not text.startswith(PARAMETER):
            raise CallBroken("malformed ATEM parameter")
        name, ended, text = text.removeprefix(PARAMETER).partition(NAME_END)
        if not ended:
            raise CallBroken("malformed ATEM parameter name")
        found[name], ended, text = text.partition(PARAMETER_END)
        if not ended:
            raise CallBroken(f'unterminated ATEM parameter "{name}"')
        text = text.removeprefix("\n")
    return found
