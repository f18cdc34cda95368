"""The words of a Modelfile: commands with their argument and value, no meaning yet.

A state a function: outside, in a command word, in a name (of a parameter, a role), in a value.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from string import ascii_letters, digits

from ollama_nb_server.library.errors import BadModelfile

COMMANDS = (
    "from", "license", "template", "system", "adapter", "draft", "renderer", "parser", "parameter",
    "message", "requires",
)  # fmt: skip
ROLES = ("system", "user", "assistant")
BLANKS, NEWLINES, QUOTES = " \t", "\r\n", '"""'
LINE = re.compile(r"[^\r\n]*")
BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


@dataclass(frozen=True, slots=True)
class Command:
    """One command: its word in lower case, the name after PARAMETER or MESSAGE, the value."""

    word: str
    value: str
    line: int
    name: str = ""


def text_of(data: bytes) -> str:
    """The text of a file: a byte order mark tells its encoding and is removed."""
    for mark, encoding in BOMS:
        if data.startswith(mark):
            return data.removeprefix(mark).decode(encoding, "replace")
    return data.decode("utf-8", "replace")


class Scanner:
    """Reads a text once, letter by letter."""

    def __init__(self, text: str) -> None:
        self._text, self._at, self._line = text, 0, 1

    def commands(self) -> Iterator[Command]:
        """All commands in order.

        Raises
        ------
        BadModelfile
            With the line on which it went wrong.
        """
        while (letter := self._next()) is not None:
            if letter == "#":
                self._skip_comment()
            elif letter not in BLANKS + NEWLINES:
                yield self._command(letter)

    def _next(self) -> str | None:
        if self._at == len(self._text):
            return None
        letter = self._text[self._at]
        self._at += 1
        self._line += letter == "\n"
        return letter

    def _skip_comment(self) -> None:
        while (letter := self._next()) is not None and letter not in NEWLINES:
            pass

    def _command(self, first: str) -> Command:
        line, word = self._line, self._word(first)
        name = ""
        if word == "parameter":
            name = self._name(ascii_letters + digits + "_")
        elif word == "message":
            name = self._name(ascii_letters)
            if name not in ROLES:
                roles = ", ".join(f'"{role}"' for role in ROLES[:-1]) + f', or "{ROLES[-1]}"'
                raise BadModelfile(f"message role must be one of {roles}", self._line)
        return Command(word, self._value(), line, name)

    def _word(self, first: str) -> str:
        word, letter = "", first
        while letter is not None and letter not in BLANKS:
            if not (letter.isascii() and letter.isalpha()):
                raise self._unknown_command()
            word += letter.lower()
            letter = self._next()  # type: ignore[assignment]
        if letter is None or word not in COMMANDS:
            raise self._unknown_command()
        return word

    def _unknown_command(self) -> BadModelfile:
        names = ", ".join(f'"{name}"' for name in COMMANDS[:-1]) + f', or "{COMMANDS[-1]}"'
        return BadModelfile(f"command must be one of {names}", self._line)

    def _name(self, allowed: str) -> str:
        """A parameter's name or a role; ends with a blank, and a value must follow."""
        name = ""
        while (letter := self._next()) is not None and letter not in BLANKS:
            if letter not in allowed:
                raise BadModelfile(f"unexpected EOF: {name}", self._line)
            name += letter
        if letter is None:
            raise BadModelfile(f"unexpected EOF: {name}", self._line)
        return name

    def _value(self) -> str:
        """Up to the end of the line, or of the quotes that it begins with."""
        lines: list[str] = []
        while True:
            lines.append(self._rest_of_the_line())
            if is_closed(lines):
                self._next()
                return unquoted("".join(lines).strip()) or ""
            newline = self._next()
            if newline is None:
                raise BadModelfile("unexpected EOF", self._line)
            lines.append(newline)

    def _rest_of_the_line(self) -> str:
        """Without what cannot be printed; the newline stays where it is."""
        found = LINE.match(self._text, self._at)
        assert found is not None, "the expression matches nothing at all, too"
        self._at = found.end()
        text = found[0]
        if text.isprintable():
            return text
        return "".join(letter for letter in text if letter in BLANKS or letter.isprintable())


def is_closed(lines: list[str]) -> bool:
    """Whether a value ends with the last of these lines; no line is looked at twice."""
    first = lines[0].lstrip()
    quote = next((quote for quote in (QUOTES, '"') if first.startswith(quote)), "")
    if len(lines) == 1:
        return unquoted(first.rstrip()) is not None
    return lines[-1].rstrip().endswith(quote)


def unquoted(text: str) -> str | None:
    """What stands between the quotes; None if they are still open. There are no escapes."""
    for quote in (QUOTES, '"'):
        if text.startswith(quote):
            closed = len(text) >= 2 * len(quote) and text.endswith(quote)
            return text[len(quote) : -len(quote)] if closed else None
    return text
