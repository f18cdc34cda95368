"""The grammar of a Modelfile: which commands a text holds, each with its name and value.

What they mean is in `commands`. Grammar and quirks: Ollama's parser/parser.go.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ollama_nb.errors import BadModelfile

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMANDS = (
    "from", "license", "template", "system", "adapter", "draft", "renderer", "parser", "parameter",
    "message", "requires",
)  # fmt: skip
ROLES = ("system", "user", "assistant")
BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
_BETWEEN = re.compile(r"(?:[ \t\r\n]|#[^\r\n]*)*")
_WORD = re.compile(r"[A-Za-z]*")
_PARAMETER = re.compile(r"[A-Za-z0-9_]*")
_LINE = re.compile(r"[^\r\n]*")


@dataclass(frozen=True, slots=True)
class Command:
    """One command: its word in lower case, the name after PARAMETER or MESSAGE, the value."""

    word: str
    name: str
    value: str
    line: int


def decoded(data: bytes) -> str:
    """Return the text of a file; a byte order mark tells its encoding and is removed."""
    for mark, encoding in BYTE_ORDER_MARKS.items():
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, "replace")
    return data.decode("utf-8", "replace")


def commands(text: str) -> Iterator[Command]:
    """Yield the commands of a Modelfile in their order.

    Raises
    ------
    BadModelfile
        With the line on which reading stopped, which may be one below the mistake.
    """
    at = _after(_BETWEEN, text, 0)
    while at < len(text):
        begin = at
        word, at = _word(text, at)
        name, at = _name(word, text, at)
        value, at = _value(text, at)
        yield Command(word, name, value, _line(text, begin + 1))
        at = _after(_BETWEEN, text, at)


def _word(text: str, at: int) -> tuple[str, int]:
    """Read a command's word and the blank that ends it."""
    end = _after(_WORD, text, at)
    word = text[at:end].lower()
    if text[end : end + 1] not in (" ", "\t") or word not in COMMANDS:
        raise BadModelfile(f"command must be one of {_listed(COMMANDS)}", _line(text, end + 1))
    return word, end + 1


def _name(word: str, text: str, at: int) -> tuple[str, int]:
    """Read the name of a parameter, or a role, and the blank that ends it."""
    if word not in ("parameter", "message"):
        return "", at
    end = _after(_PARAMETER if word == "parameter" else _WORD, text, at)
    name = text[at:end]
    if text[end : end + 1] not in (" ", "\t"):
        raise BadModelfile(f"unexpected EOF: {name}", _line(text, end + 1))
    if word == "message" and name not in ROLES:
        raise BadModelfile(f"message role must be one of {_listed(ROLES)}", _line(text, end + 1))
    return name, end + 1


def _value(text: str, begin: int) -> tuple[str, int]:
    """Read a value: to the end of the line, or of the quotes that it begins with."""
    end = _after(_LINE, text, begin)
    while (value := unquoted(_visible(text[begin:end]))) is None:
        end = _end_of_closing_line(text, end)
    return value, end + 1


def _end_of_closing_line(text: str, at: int) -> int:
    """Return the end of the next line that may close a quoted value: one that ends in a quote."""
    while (quote := text.find('"', at)) >= 0:
        at = _after(_LINE, text, quote)
        if _visible(text[quote:at]).endswith('"'):
            return at
    raise BadModelfile("unexpected EOF", _line(text, len(text)))


def _visible(text: str) -> str:
    """Drop what nobody sees: control characters, no-break spaces, blanks at both ends."""
    return "".join(char for char in text if char in " \t\r\n" or char.isprintable()).strip()


def unquoted(text: str) -> str | None:
    """Return what stands between the quotes; None if they are still open. There are no escapes.

    >>> unquoted('"a"'), unquoted('"a'), unquoted("a")
    ('a', None, 'a')
    """
    quotes = '"""' if text.startswith('"""') else '"' if text.startswith('"') else ""
    is_closed = len(text) >= 2 * len(quotes) and text.endswith(quotes)
    return text[len(quotes) : len(text) - len(quotes)] if is_closed else None


def _after(pattern: re.Pattern[str], text: str, at: int) -> int:
    """Return where a pattern that matches everywhere ends."""
    found = pattern.match(text, at)
    assert found is not None
    return found.end()


def _line(text: str, end: int) -> int:
    """Return the line that is reached when `end` characters are read."""
    return 1 + text.count("\n", 0, end)


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f'"{name}"' for name in names[:-1]) + f', or "{names[-1]}"'
