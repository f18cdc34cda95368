"""What a compiled template is made of: closures over a frame, and who knows its variables.

Owns slots, the count of nodes and of levels, and where errors are said to be.
A frame is a list: the `Run`, then `$`, then a slot for each variable of the template.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn, TypeAlias

from ollama_nb_server.gotemplate.errors import ExecutionFault
from ollama_nb_server.gotemplate.functions import Function
from ollama_nb_server.gotemplate.nodes import Chain, Command, Identifier, Node, Pipe
from ollama_nb_server.gotemplate.values import Value

Frame: TypeAlias = list[Any]
Evaluate: TypeAlias = Callable[[Value, Frame], Value]
Stage: TypeAlias = Callable[[Value, Frame, Value], Value]
FIRST_SLOT: Final = 2
NOTHING: Final = object()  # no value is piped in


def nil(dot: Value, frame: Frame) -> Value:
    """The value of nil, and of no pipeline at all."""
    return None


class Frames:
    """Compiles a template's variables to slots: Go's scopes can be read off the tree.

    Parameters
    ----------
    name : str
        The template's name, for its errors.
    functions : Mapping[str, Function]
        The functions there are; one that is not here fails when it is called.
    """

    def __init__(self, name: str, functions: Mapping[str, Function]) -> None:
        self.name = name
        self.functions = functions
        self.num_slots = FIRST_SLOT
        self.weight = 1
        self.depth = self.deepest = 1
        self._declared = ["$"]
        self._slots = defaultdict(list, {"$": [1]})  # of each name, the youngest variable last

    def fail(self, at: Node, reason: str) -> NoReturn:
        """End the run with an error at this node."""
        position = at.position
        raise ExecutionFault(reason, str(at), position.line, position.column, self.name)

    def failing(self, at: Node, reason: str, before: Evaluate = nil) -> Evaluate:
        """What fails only when it is reached, after what comes before it was evaluated."""

        def fail(dot: Value, frame: Frame) -> NoReturn:
            before(dot, frame)
            self.fail(at, reason)

        return fail

    def enter(self) -> None:
        """One level of nesting more."""
        self.depth += 1
        self.deepest = max(self.deepest, self.depth)

    def leave(self) -> None:
        """One level of nesting less."""
        self.depth -= 1

    # Variables

    def mark(self) -> int:
        """How many variables there are, for `forget`."""
        return len(self._declared)

    def forget(self, mark: int) -> None:
        """A body ends, and its variables with it."""
        for name in self._declared[mark:]:
            self._slots[name].pop()
        del self._declared[mark:]

    def declare(self, name: str) -> int:
        """A slot for a new variable."""
        self._declared.append(name)
        self._slots[name].append(self.num_slots)
        self.num_slots += 1
        return self.num_slots - 1

    def slot(self, name: str) -> int | None:
        """The youngest variable of this name; a tree that was cut may have lost it."""
        slots = self._slots[name]
        return slots[-1] if slots else None


def last_of(node: Node) -> Node:
    """What Go has looked at last when a node has its value: there its errors are said to be."""
    while True:
        if isinstance(node, Pipe):
            node = node.commands[-1]
        elif isinstance(node, Chain):
            node = node.node
        elif isinstance(node, Command):
            first = node.arguments[0]
            node = node.arguments[-1] if isinstance(first, Identifier) else first
        else:
            return node
