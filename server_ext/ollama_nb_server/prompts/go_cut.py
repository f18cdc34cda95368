"""Cuts an old-style Go template off where the model's own words begin.

The rules are Ollama's (reference/ollama-models.md 5.4); `go` says when it is done.
"""

from __future__ import annotations

from dataclasses import replace

from ollama_nb_server.gotemplate.nodes import Action, Field, If, List, Node, Pipe, Range, With


def cut_after_response(root: List) -> List:
    """The tree without all that comes after its first `.Response`, in the order of the document.

    Only bodies and what is printed are looked at, conditions are not, nor are parentheses' fields.

    Examples
    --------
    >>> from ollama_nb_server.gotemplate import parse
    >>> str(cut_after_response(parse("<a>{{ .Response }}</a>").root))
    '<a>{{.Response}}'
    """
    return _Scissors().body(root)


class _Scissors:
    """Walks a tree once, keeping all up to the cut."""

    def __init__(self) -> None:
        self.is_past = False

    def body(self, body: List) -> List:
        """What is left of a body, maybe nothing.

        Ollama crashes where it is an `else` behind the cut; here that is empty.
        """
        return replace(body, nodes=tuple(filter(None, map(self.kept, body.nodes))))

    def kept(self, node: Node) -> Node | None:
        """What is left of a node."""
        if isinstance(node, Field) and "Response" in node.names:
            self.is_past = True
            return node
        if self.is_past:
            return None
        if isinstance(node, Action):
            pipe = self.pipe(node.pipe)
            return None if pipe is None else replace(node, pipe=pipe)
        if isinstance(node, Pipe):
            return self.pipe(node)
        if isinstance(node, If | Range | With):
            body = self.body(node.body)
            rest = None if node.otherwise is None else self.body(node.otherwise)
            return replace(node, body=body, otherwise=rest)
        return node

    def pipe(self, pipe: Pipe) -> Pipe | None:
        """What is left of a pipeline: nothing, if one of its commands is lost whole."""
        commands = []
        for command in pipe.commands:
            kept = map(self.kept, command.arguments)
            arguments: tuple[Node, ...] = tuple(node for node in kept if node is not None)
            if not arguments:
                return None
            commands.append(replace(command, arguments=arguments))
        return replace(pipe, commands=tuple(commands))
