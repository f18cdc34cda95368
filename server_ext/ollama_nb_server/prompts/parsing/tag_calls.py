"""How calls are written by models whose Go template shows it: a tag, and JSON behind it.

The tag is what the template puts before a call (reference/ollama-models.md 7.1); reading is
`generic`'s, for which name and arguments may stand anywhere behind it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from ollama_nb_server.prompts.parsing import shapes
from ollama_nb_server.prompts.parsing.notations import JsonCall, Notation, json_object
from ollama_nb_server.prompts.parsing.parts import Call, Tool
from ollama_nb_server.prompts.parsing.shapes import Shape, Tag, sequence

CLOSES = {
    "<tool_call>": "</tool_call>",
    "<toolcall>": "</toolcall>",
    "<|START_ACTION|>": "<|END_ACTION|>",
}
BARE = '{"name": '  # what begins a call where no tag does; a brace alone begins many a text
AROUND_CALLS = re.compile(r"\.ToolCalls.*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class TagCall:
    """Objects with a name and arguments behind a tag, as a list if `listed`.

    Without a tag the beginning of the object stands for it.
    """

    tag: str
    closes: str = ""
    listed: bool = False
    arguments: str = "arguments"

    @property
    def opens(self) -> str:
        """What an answer is bound from on."""
        return self.tag or ("[" if self.listed else "") + BARE

    def read(self, body: str, tools: Sequence[Tool]) -> Sequence[Call]:
        """The one call of a body without its list."""
        found = json_object(body if self.tag else BARE + body)
        return [Call(found["name"], found[self.arguments])]

    def shape(self, tools: Sequence[Tool]) -> Shape:
        """Any of the tools, its arguments by its schema."""
        calls = shapes.Choice(tuple(self._call(tool) for tool in tools))
        if not self.tag:
            head = self._rest(tools)
            more = shapes.Repeat(sequence(", ", calls), least=0)
            return sequence(head, more, "]") if self.listed else head
        if self.listed:
            return sequence(" [", shapes.Repeat(calls, ", "), "]", *self._closing())
        return sequence(calls, *self._closing())

    def _closing(self) -> tuple[Shape, ...]:
        return (Tag(self.closes),) if self.closes else ()

    def _call(self, tool: Tool) -> Shape:
        return sequence(BARE, self._named(tool))

    def _rest(self, tools: Sequence[Tool]) -> Shape:
        """The first call, whose beginning has been written."""
        return shapes.Choice(tuple(self._named(tool) for tool in tools))

    def _named(self, tool: Tool) -> Shape:
        name = json.dumps(tool.name, ensure_ascii=False)
        head = f'{name}, "{self.arguments}": '
        return sequence(head, tool.shape, "}")


def notation_of_tag(tag: str, template: str) -> Notation:
    """How a model writes calls whose template has this tag before them.

    Examples
    --------
    >>> notation_of_tag("[TOOL_CALLS] [", "").opens
    '[TOOL_CALLS]'
    """
    behind = AROUND_CALLS.search(template)
    text = behind.group() if behind else ""
    key = "parameters" if '"parameters"' in text and '"arguments"' not in text else "arguments"
    name, listed = tag.removesuffix("[").strip(), tag.endswith("[")
    name = "" if name == "{" else name
    if name == "<tool_call>" and not listed:
        return JsonCall(name, CLOSES[name], arguments=key)
    return TagCall(name, CLOSES.get(name, ""), listed, key)
