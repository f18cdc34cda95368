"""A cursor over tokens: looking ahead, putting back, and the errors of Go's parser.

Owns the bound of nesting. What may follow what is in `pipelines` and `parser`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from ollama_nb_server.gotemplate.errors import LimitExceeded, SyntaxFault
from ollama_nb_server.gotemplate.limits import Limits
from ollama_nb_server.gotemplate.tokens import Kind, Token


class Cursor:
    """A cursor over the tokens. `_seen` is how far it has looked: Go's errors name that line."""

    def __init__(self, tokens: Sequence[Token], limits: Limits, name: str) -> None:
        self.tokens = [*tokens, tokens[-1]]  # one more, so that what was read can be put back
        self.limits = limits
        self.name = name
        self.at = 0
        self._seen = 0
        self._depth = 0
        self.action_line = 0

    # Tokens

    def peek(self) -> Token:
        """The next token."""
        if self.at > self._seen:
            self._seen = self.at
        return self.tokens[self.at]

    def next(self) -> Token:
        """The next token, taken."""
        token = self.peek()
        if self.at + 1 < len(self.tokens):
            self.at += 1
        return token

    def peek_word(self) -> Token:
        """The next token that is not blank."""
        if self.peek().kind is Kind.SPACE:
            self.at += 1
        return self.peek()

    def next_word(self) -> Token:
        """The next token that is not blank, taken."""
        self.peek_word()
        return self.next()

    def back(self) -> None:
        """Put the last token back."""
        self.at -= 1

    def expect(self, kind: Kind, context: str) -> Token:
        """The next token that is not blank, which has to be of this kind."""
        token = self.next_word()
        if token.kind is not kind:
            self.unexpected(token, context)
        return token

    # Errors

    def fail(self, reason: str) -> NoReturn:
        """End with an error at the last token that was looked at."""
        position = self.tokens[self._seen].position
        raise SyntaxFault(reason, position.line, position.column, self.name)

    def unexpected(self, token: Token, context: str) -> NoReturn:
        """End because of a token that cannot be here, or of text that is no token."""
        if token.kind is not Kind.ERROR:
            self.fail(f"unexpected {token} in {context}")
        origin = ""
        if self.action_line not in (0, token.position.line):
            action = "" if token.text.endswith(" action") else " in action"
            origin = f"{action} started at {self.name}:{self.action_line}"
        self.fail(f"{token}{origin}")

    def deeper(self) -> None:
        """Count a parenthesis or a body that opens; Python's own stack is not to be the limit."""
        self._depth += 1
        if self._depth > self.limits.max_depth:
            raise LimitExceeded("levels of nesting", self.limits.max_depth)

    def shallower(self) -> None:
        """It closes."""
        self._depth -= 1
