r"""Go's strings: their bytes, their literals read and written.

A byte that is no UTF-8 (from `"\xff"`, or a `slice` through a character) lives in a Python text as
a surrogate escape, so that joining the halves gives the character back.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

REPLACEMENT: Final = "\ufffd"
_TRUE_SURROGATE: Final = re.compile("[\ud800-\udc7f\udd00-\udfff]")
_ESCAPE: Final = re.compile(
    r"\\(?:([abfnrtv\\'\"])|([0-7]{3})|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))"
)
_SIMPLE: Final = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v",
    "\\": "\\", "'": "'", '"': '"',
}  # fmt: skip
_SPELLED: Final = {value: f"\\{key}" for key, value in _SIMPLE.items() if key not in "'\""}


def to_bytes(text: str) -> bytes:
    """The text as Go holds it. Surrogates that stand for no byte become U+FFFD, as Go's do."""
    if text.isascii():
        return text.encode()
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return _TRUE_SURROGATE.sub(REPLACEMENT, text).encode("utf-8", "surrogateescape")


def from_bytes(raw: bytes) -> str:
    """Go's bytes as text; bytes that are no UTF-8 are kept as surrogate escapes."""
    return raw.decode("utf-8", "surrogateescape")


def num_bytes(text: str) -> int:
    """Go's `len` of a string."""
    return len(text) if text.isascii() else len(to_bytes(text))


def clean(text: str) -> str:
    """A text fit for the outside: halves of characters joined, lone ones replaced."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return to_bytes(text).decode("utf-8", "replace")
    return text


def is_letter_or_digit(char: str) -> bool:
    """What Go's lexer takes for a letter of a name."""
    if char.isascii():
        return char.isalnum() or char == "_"
    return unicodedata.category(char)[0] == "L" or char.isdecimal()


def quote(text: str, delimiter: str = '"', *, ascii_only: bool = False) -> str:
    """The text as a Go string literal, or as a character one with another delimiter."""
    plain = text.isprintable() and "\\" not in text and delimiter not in text
    if plain and (text.isascii() or not ascii_only):
        return f"{delimiter}{text}{delimiter}"
    inner = "".join(_spelled(char, delimiter, ascii_only) for char in text)
    return f"{delimiter}{inner}{delimiter}"


def _spelled(char: str, delimiter: str, ascii_only: bool) -> str:
    if char == delimiter:
        return f"\\{char}"
    if char in _SPELLED:
        return _SPELLED[char]
    if char.isprintable() and (char.isascii() or not ascii_only):
        return char
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    if 0xD800 <= code <= 0xDFFF:
        return REPLACEMENT if not ascii_only else "\\ufffd"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def unquote(literal: str) -> str | None:
    """The value of a string literal, interpreted or raw; None if an escape in it is no escape."""
    inner = literal[1:-1]
    if literal[0] == "`":
        return inner.replace("\r", "")
    if "\\" not in inner:
        return inner
    return _unescaped(inner, forbidden="'")


def unquote_char(inner: str) -> tuple[int | None, str]:
    """The code of the first character of a literal, None if it is none; and what follows it."""
    if not inner.startswith("\\"):
        return (ord(inner[0]) if inner else None), inner[1:]
    match = _ESCAPE.match(inner)
    if match is None or match[1] == '"':
        return None, inner
    rest = inner[match.end() :]
    digits = match[2] or match[3] or match[4] or match[5]
    if digits is None:
        return ord(_SIMPLE[match[1]]), rest
    code = int(digits, 8 if match[2] else 16)
    is_valid = code <= 0xFF if match[2] else not _is_no_character(code)
    return (code if is_valid else None), rest


def _unescaped(inner: str, forbidden: str) -> str | None:
    pieces: list[bytes] = []
    end = 0
    while (start := inner.find("\\", end)) >= 0:
        match = _ESCAPE.match(inner, start)
        value = None if match is None or match[1] == forbidden else _escape_value(match)
        if match is None or value is None:
            return None
        pieces += (to_bytes(inner[end:start]), value)
        end = match.end()
    return from_bytes(b"".join(pieces) + to_bytes(inner[end:]))


def _escape_value(match: re.Match[str]) -> bytes | None:
    r"""The bytes of an escape: octal and \x ones are single bytes, \u ones are characters."""
    simple, octal, byte, short, long = match.groups()
    if simple:
        return _SIMPLE[simple].encode()
    if octal or byte:
        code = int(octal, 8) if octal else int(byte, 16)
        return bytes([code]) if code <= 0xFF else None
    code = int(short or long, 16)
    return None if _is_no_character(code) else chr(code).encode()


def _is_no_character(code: int) -> bool:
    return code > 0x10FFFF or 0xD800 <= code <= 0xDFFF
