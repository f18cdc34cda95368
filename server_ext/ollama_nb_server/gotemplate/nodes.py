"""The tree of a Go template: frozen nodes that print as Go prints them, and a walk over them.

Owns the shapes and their text. Who makes a tree is `parser`'s business, what it does `evaluator`'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Union

from ollama_nb_server.gotemplate.quoting import quote

__all__ = [
    "Action", "Bool", "Break", "Chain", "Command", "Continue", "Dot", "Field", "Identifier", "If",
    "List", "Nil", "Node", "Number", "Pipe", "Position", "Range", "String", "TemplateCall", "Text",
    "Variable", "With", "walk",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Position:
    """Where a node begins: its line from 1, and the bytes before it on that line, as Go counts."""

    line: int = 1
    column: int = 0


NOWHERE = Position()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Node:
    """What all nodes share. Two nodes are equal if they say the same, wherever they stand."""

    position: Position = field(default=NOWHERE, compare=False, repr=False)

    def children(self) -> tuple[Node, ...]:
        """The nodes right below, in the order of the document."""
        return ()


@dataclass(frozen=True, slots=True)
class Text(_Node):
    """Text outside of all actions."""

    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class List(_Node):
    """Nodes one after the other: a body."""

    nodes: tuple[Node, ...] = ()

    def children(self) -> tuple[Node, ...]:
        """What is in it."""
        return self.nodes

    def __str__(self) -> str:
        return "".join(map(str, self.nodes))


@dataclass(frozen=True, slots=True)
class Dot(_Node):
    """The dot itself."""

    def __str__(self) -> str:
        return "."


@dataclass(frozen=True, slots=True)
class Nil(_Node):
    """The constant nil."""

    def __str__(self) -> str:
        return "nil"


@dataclass(frozen=True, slots=True)
class Bool(_Node):
    """The constant true or false."""

    value: bool

    def __str__(self) -> str:
        return "true" if self.value else "false"


@dataclass(frozen=True, slots=True)
class Number(_Node):
    """A number or a character: its spelling, and its value where nobody asks for another type."""

    text: str
    value: int | float

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class String(_Node):
    """A string: `quoted` as written, quotes and all, and `value`."""

    quoted: str
    value: str

    def __str__(self) -> str:
        return self.quoted


@dataclass(frozen=True, slots=True)
class Identifier(_Node):
    """The name of a function."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Field(_Node):
    """Fields of the dot: `.A.B` has the names A and B."""

    names: tuple[str, ...]

    def __str__(self) -> str:
        return "".join(f".{name}" for name in self.names)


@dataclass(frozen=True, slots=True)
class Variable(_Node):
    """A variable and fields of it: `$x.A` has the names $x and A, a lone `$` has the name $."""

    names: tuple[str, ...]

    def __str__(self) -> str:
        return ".".join(self.names)


@dataclass(frozen=True, slots=True)
class Chain(_Node):
    """Fields of something else, mostly of a parenthesis: `(index .A 0).B`."""

    node: Node
    names: tuple[str, ...]

    def children(self) -> tuple[Node, ...]:
        """What is in it."""
        return (self.node,)

    def __str__(self) -> str:
        inner = f"({self.node})" if isinstance(self.node, Pipe) else str(self.node)
        return inner + "".join(f".{name}" for name in self.names)


@dataclass(frozen=True, slots=True)
class Command(_Node):
    """One part of a pipeline: a function with its arguments, or one operand."""

    arguments: tuple[Node, ...]

    def children(self) -> tuple[Node, ...]:
        """What is in it."""
        return self.arguments

    def __str__(self) -> str:
        return " ".join(f"({arg})" if isinstance(arg, Pipe) else str(arg) for arg in self.arguments)


@dataclass(frozen=True, slots=True)
class Pipe(_Node):
    """Commands joined by bars; `declarations` are the variables left of `:=`, or of `=`."""

    commands: tuple[Command, ...]
    declarations: tuple[Variable, ...] = ()
    assigns: bool = False

    def children(self) -> tuple[Node, ...]:
        """What is in it."""
        return (*self.declarations, *self.commands)

    def __str__(self) -> str:
        commands = " | ".join(map(str, self.commands))
        if not self.declarations:
            return commands
        return (
            f"{', '.join(map(str, self.declarations))} {'=' if self.assigns else ':='} {commands}"
        )


@dataclass(frozen=True, slots=True)
class Action(_Node):
    """A pipeline whose value is printed, unless it declares or assigns."""

    pipe: Pipe

    def children(self) -> tuple[Node, ...]:
        """What is in it."""
        return (self.pipe,)

    def __str__(self) -> str:
        return f"{{{{{self.pipe}}}}}"


@dataclass(frozen=True, slots=True)
class _Branch(_Node):
    """What if, range and with share."""

    pipe: Pipe
    body: List
    otherwise: List | None = None

    def children(self) -> tuple[Node, ...]:
        """What is in it."""
        rest = () if self.otherwise is None else (self.otherwise,)
        return (self.pipe, self.body, *rest)

    def __str__(self) -> str:
        rest = "" if self.otherwise is None else f"{{{{else}}}}{self.otherwise}"
        word = type(self).__name__.lower()
        return f"{{{{{word} {self.pipe}}}}}{self.body}{rest}{{{{end}}}}"


@dataclass(frozen=True, slots=True)
class If(_Branch):
    """`else if` is an `otherwise` that holds one If, as in Go."""


@dataclass(frozen=True, slots=True)
class Range(_Branch):
    """A loop; its pipe declares up to two variables."""


@dataclass(frozen=True, slots=True)
class With(_Branch):
    """A body with another dot; `else with` is an `otherwise` that holds one With."""


@dataclass(frozen=True, slots=True)
class Break(_Node):
    """Leave the loop."""

    def __str__(self) -> str:
        return "{{break}}"


@dataclass(frozen=True, slots=True)
class Continue(_Node):
    """Go on with the loop's next element."""

    def __str__(self) -> str:
        return "{{continue}}"


@dataclass(frozen=True, slots=True)
class TemplateCall(_Node):
    """Another template's text in this place, with the pipe's value as its dot."""

    name: str
    pipe: Pipe | None = None

    def children(self) -> tuple[Node, ...]:
        """What is in it."""
        return () if self.pipe is None else (self.pipe,)

    def __str__(self) -> str:
        pipe = "" if self.pipe is None else f" {self.pipe}"
        return f"{{{{template {quote(self.name)}{pipe}}}}}"


Node = Union[  # noqa: UP007 - a name for isinstance and annotations alike
    Text, List, Action, Pipe, Command, Field, Variable, Dot, Nil, Bool, Number, String, Identifier,
    Chain, If, Range, With, Break, Continue, TemplateCall,
]  # fmt: skip


def walk(node: Node) -> Iterator[Node]:
    """Every node of a tree, the node itself first, in the order of the document.

    Parameters
    ----------
    node : Node
        The root.

    Yields
    ------
    Node
        Each node before its children.

    Examples
    --------
    >>> from ollama_nb_server.gotemplate import parse
    >>> [str(node) for node in walk(parse("{{ .A.B }}").root) if isinstance(node, Field)]
    ['.A.B']
    """
    waiting = [node]
    while waiting:
        current = waiting.pop()
        yield current
        waiting.extend(reversed(current.children()))
