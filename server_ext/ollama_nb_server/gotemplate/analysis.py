"""What a model's Go template tells without being run: the names it uses, the tags it writes.

Owns Ollama's readings of a tree (reference/ollama-models.md 5.1, 7.1, 7.3), quirks and all; what
follows from them is decided above.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from ollama_nb_server.gotemplate.errors import GoTemplateError
from ollama_nb_server.gotemplate.functions import BUILTINS
from ollama_nb_server.gotemplate.limits import DEFAULT_LIMITS
from ollama_nb_server.gotemplate.nodes import (
    Action,
    Command,
    Field,
    If,
    List,
    Node,
    Pipe,
    Range,
    TemplateCall,
    Text,
    Variable,
    With,
)
from ollama_nb_server.gotemplate.parser import parse_trees

# What Ollama adds to Go's functions: a template that calls anything else is none.
OLLAMA_FUNCTIONS: Final = ("currentDate", "json", "toTypeScriptType", "yesterdayDate")
KNOWN_FUNCTIONS: Final = frozenset((*BUILTINS, *OLLAMA_FUNCTIONS))
NO_TAG: Final = "{"
BRANCHES = If | Range | With


@dataclass(frozen=True, slots=True)
class TemplateFacts:
    """What a template tells.

    Attributes
    ----------
    variables
        All names of fields and variables in it, lower-cased.
    tool_tag
        The text that begins a tool call.
    think_tags
        The texts around a message's thinking, if it has both.
    """

    variables: frozenset[str]
    tool_tag: str
    think_tags: tuple[str, str] | None


@lru_cache(maxsize=512)
def read(text: str) -> TemplateFacts | None:
    """Read a template, once for each text: None if it is no template.

    Examples
    --------
    >>> read("{{ if .Suffix }}{{ .Prompt }}{{ end }}").variables == {"suffix", "prompt"}
    True
    >>> read("{{ .Prompt") is None
    True
    """
    try:
        return read_trees(parse_trees(text, KNOWN_FUNCTIONS, DEFAULT_LIMITS))
    except (GoTemplateError, RecursionError):
        return None


def read_trees(trees: Mapping[str, List]) -> TemplateFacts:
    """Read a template's own tree, which has the empty name, and those that it defines."""
    root = trees[""]
    return TemplateFacts(variables(trees.values()), tool_tag(root), think_tags(root))


def variables(roots: Iterable[List]) -> frozenset[str]:
    """All names of fields and variables, lower-cased, of a template and of those it defines.

    As in Ollama, fields of a parenthesis and variables left of `:=` are not seen; `$.Tools` is `$`
    and `tools`.

    Examples
    --------
    >>> from ollama_nb_server.gotemplate import parse
    >>> text = "{{ range $i, $_ := .Messages }}{{ $.Tools }}{{ .Role }}{{ end }}"
    >>> sorted(variables([parse(text).root]))
    ['$', 'messages', 'role', 'tools']
    """
    return frozenset(name.lower() for root in roots for name in _names(root))


def _names(node: Node) -> Iterator[str]:
    if isinstance(node, Field | Variable):
        yield from node.names
    elif isinstance(node, Pipe):
        for command in node.commands:
            for argument in command.arguments:
                yield from _names(argument)
    elif isinstance(node, List | Action | TemplateCall | BRANCHES):
        for child in node.children():
            yield from _names(child)


def tool_tag(root: List) -> str:
    """The text that begins a tool call in what the model writes: `{` if no other is found.

    It is the first text below the first `if` that asks for `.ToolCalls`, up to a brace.

    Examples
    --------
    >>> from ollama_nb_server.gotemplate import parse
    >>> tool_tag(parse('{{ if .ToolCalls }}<call>{"name": ...}{{ end }}').root)
    '<call>'
    """
    asking = _asks_for_calls(root)
    text = None if asking is None else _first_text(asking.body)
    return NO_TAG if text is None else text.replace("\r\n", "\n").split("{")[0].strip() or NO_TAG


def _asks_for_calls(body: List | None) -> If | None:
    for node in () if body is None else body.nodes:
        if not isinstance(node, BRANCHES):
            continue
        if isinstance(node, If) and _names_calls(node.pipe):
            return node
        found = _asks_for_calls(node.body) or _asks_for_calls(node.otherwise)
        if found is not None:
            return found
    return None


def _names_calls(condition: Pipe) -> bool:
    """Whether a field of that name stands in the condition itself, in no parenthesis."""
    arguments = (argument for command in condition.commands for argument in command.arguments)
    return any(isinstance(node, Field) and "ToolCalls" in node.names for node in arguments)


def _first_text(body: List | None) -> str | None:
    """The first text that is no blank, unless something is printed before it."""
    for node in () if body is None else body.nodes:
        if isinstance(node, Text) and node.text.strip():
            return node.text
        if isinstance(node, BRANCHES):
            return _first_text(node.body) or _first_text(node.otherwise)
        if isinstance(node, Action):
            return None
    return None


def think_tags(root: List) -> tuple[str, str] | None:
    """The texts around a message's thinking, or None where one of them is missing.

    They are the first and the last text of the body that has `.Thinking` in it, in a loop over
    `.Messages`; of several such bodies the last one counts.

    Examples
    --------
    >>> from ollama_nb_server.gotemplate import parse
    >>> text = "{{ range .Messages }}{{ if .Thinking }}<t>{{ .Thinking }}</t>{{ end }}{{ end }}"
    >>> think_tags(parse(text).root)
    ('<t>', '</t>')
    """
    opening = closing = ""
    for body in _thinking_bodies(root, None, None):
        first, last = body.nodes[0], body.nodes[-1]
        opening = first.text.strip() if isinstance(first, Text) else opening
        closing = last.text.strip() if isinstance(last, Text) else closing
    return (opening, closing) if opening and closing else None


def _thinking_bodies(node: Node, body: List | None, loop: Range | None) -> Iterator[List]:
    """The nearest body around each `.Thinking` whose nearest loop is one over `.Messages`."""
    if isinstance(node, Field):
        if node.names[0] == "Thinking" and body is not None and _is_over_messages(loop):
            yield body
        return
    if isinstance(node, List):
        body = node
    elif isinstance(node, Range):
        loop = node
    for child in _visible(node):
        yield from _thinking_bodies(child, body, loop)


def _is_over_messages(loop: Range | None) -> bool:
    fields = () if loop is None else _fields(loop.pipe)
    return any(field.names[0] == "Messages" for field in fields)


def _fields(node: Node) -> Iterator[Field]:
    if isinstance(node, Field):
        yield node
    for child in _visible(node):
        yield from _fields(child)


def _visible(node: Node) -> tuple[Node, ...]:
    """The children that Ollama looks at: no declared variables, no fields of a parenthesis."""
    if isinstance(node, Pipe):
        return node.commands
    looked_into = List | Action | Command | TemplateCall | BRANCHES
    return node.children() if isinstance(node, looked_into) else ()
