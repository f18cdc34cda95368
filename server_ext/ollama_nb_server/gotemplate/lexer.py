"""From a template's text to tokens, each with its position.

Owns delimiters, trim markers, comments, the spelling of words. What follows what is for `parser`.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from ollama_nb_server.gotemplate.nodes import Position
from ollama_nb_server.gotemplate.quoting import is_letter_or_digit, num_bytes, quote
from ollama_nb_server.gotemplate.tokens import KEYWORDS, Kind, Token

BLANKS: Final = " \t\r\n"
_BLANK_RUN: Final = re.compile(r"[ \t\r\n]+")
_WORD: Final = re.compile(r"\w+")
_NUMBER: Final = re.compile(
    r"[+-]?(?:0[xX][0-9a-fA-F_]*(?:\.[0-9a-fA-F_]*)?(?:[pP][+-]?[0-9_]*)?"
    r"|0[oO][0-7_]*(?:\.[0-7_]*)?"
    r"|0[bB][01_]*(?:\.[01_]*)?"
    r"|[0-9_]*(?:\.[0-9_]*)?(?:[eE][+-]?[0-9_]*)?)i?"
)
_QUOTED: Final = {
    '"': (re.compile(r'"(?:[^"\\\n]|\\[^\n])*"'), "unterminated quoted string"),
    "'": (re.compile(r"'(?:[^'\\\n]|\\[^\n])*'"), "unterminated character constant"),
    "`": (re.compile(r"`[^`]*`"), "unterminated raw quoted string"),
}

_WORDS: Final = {**KEYWORDS, "true": Kind.BOOL, "false": Kind.BOOL}
_SIGNS: Final = {"|": Kind.PIPE, "=": Kind.ASSIGN}


def tokenize(text: str, function_names: Collection[str] = ()) -> list[Token]:
    """The tokens of a template, the last of them an EOF or an ERROR.

    Parameters
    ----------
    text : str
        The template.
    function_names : Collection[str]
        The functions there are: one called `break` or `continue` takes the keyword's place.
    """
    lexer = _Lexer(text, function_names)
    try:
        while lexer.take_text():
            while lexer.take_word():
                continue
    except _Unreadable as fault:
        lexer.emit(Kind.ERROR, fault.reason)
    return lexer.tokens


class _Unreadable(Exception):
    """Ends the scan; the parser decides when the reader hears of it."""

    def __init__(self, reason: str) -> None:
        self.reason = reason


class _Lexer:
    """A cursor over the text. `start` is where the current token begins, `at` what comes next."""

    def __init__(self, text: str, function_names: Collection[str]) -> None:
        self.text = text
        self.start = self.at = 0
        self.num_open_parens = 0
        self.tokens: list[Token] = []
        self._words = {word: kind for word, kind in _WORDS.items() if word not in function_names}
        self._located = 0
        self._position = Position()

    def emit(self, kind: Kind, text: str | None = None) -> None:
        """Add the token from `start` to `at`."""
        text = self.text[self.start : self.at] if text is None else text
        self.tokens.append(Token(kind, text, self._position_of_start()))
        self.start = self.at

    def _position_of_start(self) -> Position:
        """Counted on from the token before: a template is read once, whatever its shape."""
        passed = self.text[self._located : self.start]
        self._located = self.start
        newline = passed.rfind("\n")
        line, column = self._position.line, self._position.column
        if newline < 0:
            self._position = Position(line, column + num_bytes(passed))
        else:
            line += passed.count("\n")
            self._position = Position(line, num_bytes(passed[newline + 1 :]))
        return self._position

    def take_text(self) -> bool:
        """Text up to the next action, and its left delimiter; False at the end of the template."""
        while (opening := self.text.find("{{", self.at)) >= 0:
            trims = _trims_before(self.text, opening + 2)
            self._emit_text(opening, trims)
            self.at = opening + 2
            inside = self.at + 2 * trims
            if not self.text.startswith("/*", inside):
                self.emit(Kind.LEFT_DELIM)
                self.start = self.at = inside
                self.num_open_parens = 0
                return True
            self._skip_comment(inside)
        self._emit_text(len(self.text))
        self.emit(Kind.EOF)
        return False

    def _emit_text(self, end: int, trims: bool = False) -> None:
        """A text token, unless nothing is left of it."""
        text = self.text[self.at : end]
        text = text.rstrip(BLANKS) if trims else text
        self.start = self.at
        if text:
            self.emit(Kind.TEXT, text)
        self.start = self.at = end

    def _skip_comment(self, inside: int) -> None:
        self.start = inside
        closing = self.text.find("*/", inside + 2)
        if closing < 0:
            raise _Unreadable("unclosed comment")
        self.at = closing + 2
        if not self._take_right_delim(silently=True):
            raise _Unreadable("comment ends before closing delimiter")

    def _take_right_delim(self, silently: bool = False) -> bool:
        """The right delimiter if it is next, with its trim marker and what that trims."""
        trims = _trims_after(self.text, self.at)
        delimiter = self.at + 2 * trims
        if not self.text.startswith("}}", delimiter):
            return False
        if not silently and self.num_open_parens:
            raise _Unreadable("unclosed left paren")
        if not silently:
            self.start = delimiter
            self.at = delimiter + 2
            self.emit(Kind.RIGHT_DELIM)
        self.at = delimiter + 2
        if trims and (blanks := _BLANK_RUN.match(self.text, self.at)):
            self.at = blanks.end()
        self.start = self.at
        return True

    def take_word(self) -> bool:
        """The next token of an action; False once its right delimiter is taken."""
        if self._take_right_delim():
            return False
        if self.at >= len(self.text):
            raise _Unreadable("unclosed action")
        char = self.text[self.at]
        if char in BLANKS:
            self._take_blanks()
        elif char in _QUOTED:
            self._take_quoted(char)
        elif char == "." and not self.text[self.at + 1 : self.at + 2].isdigit():
            self._take_field()
        elif char == "$":
            self._take_name(Kind.VARIABLE)
        elif char in "+-." or "0" <= char <= "9":
            self._take_number()
        elif is_letter_or_digit(char):
            self._take_word()
        else:
            self._take_sign(char)
        return True

    def _take_blanks(self) -> None:
        """Blanks separate operands; the last one may belong to a trim marker."""
        run = _BLANK_RUN.match(self.text, self.at)
        self.at = run.end() if run else self.at
        if self.text.startswith("-}}", self.at):
            self.at -= 1
        self.emit(Kind.SPACE)

    def _take_quoted(self, delimiter: str) -> None:
        pattern, reason = _QUOTED[delimiter]
        match = pattern.match(self.text, self.at)
        if match is None:
            raise _Unreadable(reason)
        self.at = match.end()
        self.emit(Kind.CHAR_CONSTANT if delimiter == "'" else Kind.STRING)

    def _take_field(self) -> None:
        if self.at + 1 == len(self.text):  # a point at the very end is the beginning of a number
            self._take_number()
        elif self._ends_name(self.at + 1):
            self.at += 1
            self.emit(Kind.DOT)
        else:
            self._take_name(Kind.FIELD)

    def _take_name(self, kind: Kind) -> None:
        """A field or a variable: its sign, then letters and digits."""
        self.at = self._end_of_letters(self.at + 1)
        self._check_end()
        self.emit(kind)

    def _take_word(self) -> None:
        self.at = self._end_of_letters(self.at)
        self._check_end()
        self.emit(self._words.get(self.text[self.start : self.at], Kind.IDENTIFIER))

    def _end_of_letters(self, at: int) -> int:
        """Python's words are wider than Go's beyond ASCII (`²`), so such ones are checked."""
        match = _WORD.match(self.text, at)
        if match is None:
            return at
        if match[0].isascii():
            return match.end()
        strange = (n for n, char in enumerate(match[0]) if not is_letter_or_digit(char))
        return at + next(strange, len(match[0]))

    def _ends_name(self, at: int) -> bool:
        """Whether what is here may stand right behind a name."""
        return self.text[at : at + 1] in " \t\r\n.,|:)(" or self.text.startswith("}}", at)

    def _check_end(self) -> None:
        if not self._ends_name(self.at):
            raise _Unreadable(f"bad character {_code_and_char(self.text[self.at])}")

    def _take_number(self) -> None:
        """Loosely, as Go's lexer: the parser finds out whether it is one."""
        kind = Kind.NUMBER
        well_formed = self._scan_number()
        if well_formed and self.text[self.at : self.at + 1] in ("+", "-"):
            kind = Kind.COMPLEX
            well_formed = self._scan_number() and self.text[self.at - 1] == "i"
        if not well_formed:
            raise _Unreadable(f"bad number syntax: {quote(self.text[self.start : self.at])}")
        self.emit(kind)

    def _scan_number(self) -> bool:
        match = _NUMBER.match(self.text, self.at)
        self.at = match.end() if match else self.at
        following = self.text[self.at : self.at + 1]
        if following and is_letter_or_digit(following):
            self.at += 1
            return False
        return True

    def _take_sign(self, char: str) -> None:
        self.at += 1
        if char == ":":
            if not self.text.startswith("=", self.at):
                raise _Unreadable("expected :=")
            self.at += 1
            self.emit(Kind.DECLARE)
        elif char in "()":
            self._take_paren(char)
        elif " " <= char <= "~":
            self.emit(_SIGNS.get(char, Kind.CHAR))
        else:
            raise _Unreadable(f"unrecognized character in action: {_code_and_char(char)}")

    def _take_paren(self, char: str) -> None:
        self.emit(Kind.LEFT_PAREN if char == "(" else Kind.RIGHT_PAREN)
        self.num_open_parens += 1 if char == "(" else -1
        if self.num_open_parens < 0:
            raise _Unreadable(f"unexpected right paren {_code_and_char(char)}")


def _trims_before(text: str, at: int) -> bool:
    """Whether a trim marker is here, right behind a left delimiter."""
    return text.startswith("-", at) and text[at + 1 : at + 2] in (" ", "\t", "\r", "\n")


def _trims_after(text: str, at: int) -> bool:
    """Whether a blank and a trim marker are here, before what may be a right delimiter."""
    return text[at : at + 1] in (" ", "\t", "\r", "\n") and text.startswith("-}}", at + 1)


def _code_and_char(char: str) -> str:
    """A character in an error, as Go's `%#U`."""
    shown = f" '{char}'" if char.isprintable() else ""
    return f"U+{ord(char):04X}{shown}"
