"""From tokens to the trees of a template and of those defined in it.

Owns actions, bodies and definitions. What stands inside of an action is for `pipelines`, what a
tree does when it runs is `evaluator`'s business.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from ollama_nb_server.gotemplate.errors import LimitExceeded
from ollama_nb_server.gotemplate.lexer import tokenize
from ollama_nb_server.gotemplate.limits import Limits
from ollama_nb_server.gotemplate.nodes import (
    Action,
    Break,
    Continue,
    If,
    List,
    Node,
    Position,
    Range,
    TemplateCall,
    Text,
    With,
)
from ollama_nb_server.gotemplate.pipelines import PipelineParser, Scope
from ollama_nb_server.gotemplate.quoting import quote
from ollama_nb_server.gotemplate.tokens import Kind, Token

_BRANCHES: Final[dict[Kind, type[If | Range | With]]] = {
    Kind.IF: If,
    Kind.RANGE: Range,
    Kind.WITH: With,
}
_CHAINED: Final = {Kind.IF: If, Kind.WITH: With}  # what may follow `else` in the same action


@dataclass(frozen=True, slots=True)
class _Closer:
    """What ends a body: `{{end}}` or `{{else}}`, or `{{else if`, cut off before the word."""

    word: str
    position: Position

    def __str__(self) -> str:
        return f"{{{{{self.word}}}}}"


def parse_trees(
    text: str, function_names: Collection[str], limits: Limits, name: str = ""
) -> dict[str, List]:
    """The trees of a template and of those defined in it, by name.

    Parameters
    ----------
    text : str
        The template.
    function_names : Collection[str]
        Every function that it may call.
    limits : Limits
        Bounds of the text and of its nesting.
    name : str
        The template's own name.

    Raises
    ------
    SyntaxFault
        If it is no template.
    LimitExceeded
        If it is too long, or nested too deep.
    """
    if len(text) > limits.max_source_chars:
        raise LimitExceeded("characters of template", limits.max_source_chars)
    parser = _Parser(tokenize(text, function_names), function_names, limits, name)
    return parser.parse()


class _Parser(PipelineParser):
    """Reads everything."""

    def __init__(
        self, tokens: list[Token], function_names: Collection[str], limits: Limits, name: str
    ) -> None:
        super().__init__(tokens, function_names, limits, name)
        self.trees: dict[str, List] = {}

    def parse(self) -> dict[str, List]:
        """Read everything."""
        start = self.peek().position
        nodes: list[Node] = []
        while self.peek().kind is not Kind.EOF:
            if self._begins_definition():
                self._definition()
                continue
            node = self._text_or_action()
            if isinstance(node, _Closer):
                self.fail(f"unexpected {node}")
            nodes.append(node)
        self._add(self.name, List(tuple(nodes), position=start))
        return self.trees

    def _begins_definition(self) -> bool:
        """Whether a `{{define` is next; if so it is taken."""
        start = self.at
        if self.peek().kind is Kind.LEFT_DELIM:
            self.next()
            if self.next_word().kind is Kind.DEFINE:
                return True
        self.at = start
        return False

    def _add(self, name: str, root: List) -> None:
        """As in Go a template may be defined once, but for trees without anything in them."""
        if name not in self.trees or _is_empty(self.trees[name]):
            self.trees[name] = root
        elif not _is_empty(root):
            self.fail(f"template: multiple definition of template {quote(name)}")

    def _definition(self) -> None:
        context = "define clause"
        name = self._template_name(self.next_word(), context)
        self.expect(Kind.RIGHT_DELIM, context)
        self._add_body(name, context)

    def _add_body(self, name: str, context: str) -> None:
        """The body of a define or a block, which sees no variable and no loop from outside."""
        scope, self.scope = self.scope, Scope()
        body, closer = self._body()
        if closer.word != "end":
            self.fail(f"unexpected {closer} in {context}")
        self._add(name, body)
        self.scope = scope

    def _body(self) -> tuple[List, _Closer]:
        """Everything up to an `end` or an `else`."""
        self.deeper()
        position = self.peek_word().position
        nodes: list[Node] = []
        while True:
            if self.peek_word().kind is Kind.EOF:
                self.fail("unexpected EOF")
            node = self._text_or_action()
            if isinstance(node, _Closer):
                break
            nodes.append(node)
        self.shallower()
        return List(tuple(nodes), position=position), node

    def _text_or_action(self) -> Node | _Closer:
        token = self.next_word()
        if token.kind is Kind.TEXT:
            return Text(token.text, position=token.position)
        if token.kind is not Kind.LEFT_DELIM:
            self.unexpected(token, "input")
        self.action_line = token.position.line
        node = self._action()
        self.action_line = 0
        return node

    def _action(self) -> Node | _Closer:
        token = self.next_word()
        if token.kind in _BRANCHES:
            return self._branch(token.kind)
        if token.kind in (Kind.BREAK, Kind.CONTINUE):
            return self._jump(token)
        if token.kind is Kind.BLOCK:
            return self._block()
        if token.kind is Kind.TEMPLATE:
            return self._template_call()
        if token.kind is Kind.ELSE:
            return self._else()
        if token.kind is Kind.END:
            return _Closer("end", self.expect(Kind.RIGHT_DELIM, "end").position)
        self.back()
        return Action(self.pipeline("command", Kind.RIGHT_DELIM), position=token.position)

    # Control

    def _branch(self, kind: Kind) -> Node:
        """An if, range or with; what it declares lives until its end."""
        num_variables = len(self.scope)
        pipe = self.pipeline(kind.name.lower(), Kind.RIGHT_DELIM)
        self.scope.num_loops += kind is Kind.RANGE
        body, closer = self._body()
        self.scope.num_loops -= kind is Kind.RANGE
        otherwise = None if closer.word == "end" else self._otherwise(kind, closer)
        self.scope.shrink(num_variables)
        return _BRANCHES[kind](pipe, body, otherwise, position=pipe.position)

    def _otherwise(self, kind: Kind, closer: _Closer) -> List:
        """What follows an `else`: a body, or in `else if` and `else with` one more branch."""
        if kind in _CHAINED and self.peek().kind is kind:
            self.next()
            self.deeper()
            branch = self._branch(kind)
            self.shallower()
            return List((branch,), position=closer.position)
        otherwise, closer = self._body()
        if closer.word != "end":
            self.fail(f"expected end; found {closer}")
        return otherwise

    def _else(self) -> _Closer:
        following = self.peek_word()
        if following.kind in _CHAINED:
            return _Closer("else", following.position)
        return _Closer("else", self.expect(Kind.RIGHT_DELIM, "else").position)

    def _jump(self, token: Token) -> Node:
        shown = f"{{{{{token.text}}}}}"
        self.expect(Kind.RIGHT_DELIM, shown)
        if not self.scope.num_loops:
            self.fail(f"{shown} outside {{{{range}}}}")
        node = Break if token.kind is Kind.BREAK else Continue
        return node(position=token.position)

    def _block(self) -> Node:
        context = "block clause"
        token = self.next_word()
        name = self._template_name(token, context)
        pipe = self.pipeline(context, Kind.RIGHT_DELIM)
        self._add_body(name, context)
        return TemplateCall(name, pipe, position=token.position)

    def _template_call(self) -> Node:
        context = "template clause"
        token = self.next_word()
        name = self._template_name(token, context)
        pipe = None
        if self.next_word().kind is not Kind.RIGHT_DELIM:
            self.back()
            pipe = self.pipeline(context, Kind.RIGHT_DELIM)
        return TemplateCall(name, pipe, position=token.position)

    def _template_name(self, token: Token, context: str) -> str:
        if token.kind is not Kind.STRING:
            self.unexpected(token, context)
        return self.unquoted(token)


def _is_empty(root: List) -> bool:
    """Whether a tree holds nothing but blanks."""
    return all(isinstance(node, Text) and not node.text.strip() for node in root.nodes)
