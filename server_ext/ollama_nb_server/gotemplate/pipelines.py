"""Pipelines, commands and operands, from tokens to nodes.

Owns which variables are declared where. Actions and bodies are `parser`'s business.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Final

from ollama_nb_server.gotemplate.cursor import Cursor
from ollama_nb_server.gotemplate.limits import Limits
from ollama_nb_server.gotemplate.nodes import (
    Bool,
    Chain,
    Command,
    Dot,
    Field,
    Identifier,
    Nil,
    Node,
    Number,
    Pipe,
    String,
    Variable,
)
from ollama_nb_server.gotemplate.numbers import NoNumber, read_char, read_number
from ollama_nb_server.gotemplate.quoting import quote, unquote
from ollama_nb_server.gotemplate.tokens import Kind, Token

_OPERANDS: Final = {
    Kind.BOOL, Kind.CHAR_CONSTANT, Kind.COMPLEX, Kind.DOT, Kind.FIELD, Kind.IDENTIFIER, Kind.NUMBER,
    Kind.NIL, Kind.STRING, Kind.VARIABLE, Kind.LEFT_PAREN,
}  # fmt: skip
_LITERALS: Final = (Bool, Dot, Nil, Number, String)


class Scope:
    """What Go keeps per tree: the variables there are, and the loops around."""

    def __init__(self) -> None:
        self.num_loops = 0
        self._declared = ["$"]
        self._counts = Counter(self._declared)

    def __contains__(self, name: str) -> bool:
        return self._counts[name] > 0

    def __len__(self) -> int:
        return len(self._declared)

    def declare(self, name: str) -> None:
        """One more variable, maybe one that hides another of the same name."""
        self._declared.append(name)
        self._counts[name] += 1

    def shrink(self, size: int) -> None:
        """Forget the youngest."""
        self._counts.subtract(self._declared[size:])
        del self._declared[size:]


class PipelineParser(Cursor):
    """Reads pipelines."""

    def __init__(
        self,
        tokens: Sequence[Token],
        function_names: Collection[str],
        limits: Limits,
        name: str,
    ) -> None:
        super().__init__(tokens, limits, name)
        self.function_names = function_names
        self.scope = Scope()

    def pipeline(self, context: str, end: Kind) -> Pipe:
        """A pipeline with its declarations, and its end, which is taken."""
        position = self.peek_word().position
        declarations, assigns = self._declarations(context)
        commands: list[Command] = []
        while (token := self.next_word()).kind is not end:
            if token.kind not in _OPERANDS:
                self.unexpected(token, context)
            self.back()
            commands.append(self._command())
        self._check_pipeline(commands, context)
        return Pipe(tuple(commands), tuple(declarations), assigns, position=position)

    def _declarations(self, context: str) -> tuple[list[Variable], bool]:
        """The variables left of `:=` or `=`. What only looked like one is read again."""
        declarations: list[Variable] = []
        while self.peek_word().kind is Kind.VARIABLE:
            start = self.at
            token = self.next()
            following = self.peek_word()
            joins = following.kind is Kind.CHAR and following.text == ","
            if not joins and following.kind not in (Kind.ASSIGN, Kind.DECLARE):
                self.at = start
                break
            self.next()
            declarations.append(Variable((token.text,), position=token.position))
            self.scope.declare(token.text)
            if not joins:
                return declarations, following.kind is Kind.ASSIGN
            self._check_comma(context, len(declarations))
        return declarations, False

    def _check_comma(self, context: str, num_declarations: int) -> None:
        if context != "range" or num_declarations > 1:
            self.fail(f"too many declarations in {context}")
        if self.peek_word().kind not in (Kind.VARIABLE, Kind.RIGHT_DELIM, Kind.RIGHT_PAREN):
            self.fail("range can only initialize variables")

    def _check_pipeline(self, commands: list[Command], context: str) -> None:
        if not commands:
            self.fail(f"missing value for {context}")
        for stage, command in enumerate(commands[1:], start=2):
            if isinstance(command.arguments[0], _LITERALS):
                self.fail(f"non executable command in pipeline stage {stage}")

    def _command(self) -> Command:
        """Operands up to a bar, which is taken, or up to an end, which is not."""
        position = self.peek_word().position
        arguments: list[Node] = []
        while True:
            self.peek_word()
            operand = self._operand()
            if operand is not None:
                arguments.append(operand)
            token = self.next()
            if token.kind is Kind.SPACE:
                continue
            if token.kind in (Kind.RIGHT_DELIM, Kind.RIGHT_PAREN):
                self.back()
            elif token.kind is not Kind.PIPE:
                self.unexpected(token, "operand")
            break
        if not arguments:
            self.fail("empty command")
        return Command(tuple(arguments), position=position)

    def _operand(self) -> Node | None:
        """A term with the fields right behind it."""
        node = self._term()
        if node is None or self.peek().kind is not Kind.FIELD:
            return node
        position = self.peek().position
        names: list[str] = []
        while self.peek().kind is Kind.FIELD:
            names.append(self.next().text[1:])
        if isinstance(node, (Field, Variable)):
            return replace(node, names=(*node.names, *names), position=position)
        if isinstance(node, _LITERALS):
            self.fail(f"unexpected . after term {quote(str(node))}")
        return Chain(node, tuple(names), position=position)

    def _term(self) -> Node | None:
        token = self.next_word()
        kind, text, position = token
        if kind is Kind.FIELD:
            return Field((text[1:],), position=position)
        if kind is Kind.IDENTIFIER:
            return self._identifier(token)
        if kind is Kind.VARIABLE:
            return self._variable(token)
        if kind is Kind.LEFT_PAREN:
            return self._parenthesis()
        if kind is Kind.STRING:
            return String(text, self.unquoted(token), position=position)
        if kind in (Kind.NUMBER, Kind.COMPLEX, Kind.CHAR_CONSTANT):
            return self._number(token)
        if kind is Kind.DOT:
            return Dot(position=position)
        if kind is Kind.NIL:
            return Nil(position=position)
        if kind is Kind.BOOL:
            return Bool(text == "true", position=position)
        self.back()
        return None

    def _identifier(self, token: Token) -> Identifier:
        if token.text not in self.function_names:
            self.fail(f"function {quote(token.text)} not defined")
        return Identifier(token.text, position=token.position)

    def _variable(self, token: Token) -> Variable:
        if token.text not in self.scope:
            self.fail(f"undefined variable {quote(token.text)}")
        return Variable((token.text,), position=token.position)

    def _parenthesis(self) -> Pipe:
        self.deeper()
        pipe = self.pipeline("parenthesized pipeline", Kind.RIGHT_PAREN)
        self.shallower()
        return pipe

    def _number(self, token: Token) -> Number:
        try:
            if token.kind is Kind.CHAR_CONSTANT:
                value: int | float = read_char(token.text)
            else:
                value = read_number(token.text)
        except NoNumber as fault:
            self.fail(str(fault))
        return Number(token.text, value, position=token.position)

    def unquoted(self, token: Token) -> str:
        """The value of a string literal."""
        value = unquote(token.text)
        if value is None:
            self.fail("invalid syntax")
        return value
