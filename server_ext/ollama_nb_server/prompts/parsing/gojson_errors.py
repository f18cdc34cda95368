"""What Go's encoding/json says of a text that is no JSON: users have seen these sentences.

Runs after a text could not be read, to find the letter at which Go's reader stops.
"""

from __future__ import annotations

import re

BLANKS = " \t\r\n"
ENDED = "unexpected end of JSON input"
VALUE, KEY = "looking for beginning of value", "looking for beginning of object key string"
NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?", re.ASCII)
HALF_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)?(?:(?:\.[0-9]+)?[eE][+-]?|\.)?", re.ASCII)
WORDS = {"t": "true", "f": "false", "n": "null"}
MAX_DEPTH = 10_000


class _Stopped(Exception):
    """The reader goes no further."""


def complaint(text: str) -> str:
    r"""Go's sentence about a text.

    Examples
    --------
    >>> complaint("oops"), complaint('{"a": 1'), complaint('{"a" 1}')
    ("invalid character 'o' looking for beginning of value", 'unexpected end of JSON input', ...)
    """
    reader = _Reader(text)
    try:
        reader.value()
        reader.expect("", "after top-level value")
    except _Stopped as stopped:
        return str(stopped)
    return "invalid JSON"


def quoted(letter: str) -> str:
    """A letter as Go's sentences show it."""
    if letter in "'\"":
        return f"'\\{letter}'" if letter == "'" else "'\"'"
    known = {"\n": "\\n", "\t": "\\t", "\r": "\\r", "\\": "\\\\", "\a": "\\a", "\b": "\\b",
             "\f": "\\f", "\v": "\\v"}  # fmt: skip
    if letter in known:
        return f"'{known[letter]}'"
    if letter < " " or letter == "\x7f":
        return f"'\\x{ord(letter):02x}'"
    return f"'{letter}'"


class _Reader:
    """Walks over a value without recursion, so that depth costs nothing."""

    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0

    def value(self) -> None:
        """Walk over one value, with everything in it."""
        open_: list[str] = []
        self._begin(open_)
        while open_:
            if len(open_) > MAX_DEPTH:
                raise _Stopped("exceeded max depth")
            in_array = open_[-1] == "]"
            closed = self.expect(
                f",{open_[-1]}",
                "after array element" if in_array else "after object key:value pair",
            )
            if closed != ",":
                open_.pop()
                continue
            if not in_array:
                self._key()
            self._begin(open_)

    def expect(self, letters: str, where: str) -> str:
        """The next letter behind blanks, which must be one of these."""
        letter = self._next()
        if letter is None and not letters:
            return ""
        if letter is None:
            raise _Stopped(ENDED)
        if letter not in letters or not letters:
            self._stop(letter, where)
        self._at += 1
        return letter

    def _begin(self, open_: list[str]) -> None:
        """Walk to the end of a plain value, or into an object or array that holds something."""
        while True:
            letter = self._next()
            if letter is None:
                raise _Stopped(ENDED)
            if letter not in "{[":
                self._plain(letter)
                return
            self._at += 1
            end = "}" if letter == "{" else "]"
            if self._next() == end:
                self._at += 1
                return
            open_.append(end)
            if letter == "{":
                self._key()

    def _key(self) -> None:
        letter = self._next()
        if letter is None:
            raise _Stopped(ENDED)
        if letter != '"':
            self._stop(letter, KEY)
        self._string()
        self.expect(":", "after object key")

    def _plain(self, letter: str) -> None:
        if letter == '"':
            self._string()
        elif letter in WORDS:
            self._word(WORDS[letter])
        elif letter in "-0123456789":
            self._number()
        else:
            self._stop(letter, VALUE)

    def _string(self) -> None:
        self._at += 1
        while (letter := self._here()) != '"':
            if letter < " ":
                self._stop(letter, "in string")
            self._at += 1
            if letter == "\\":
                self._escape()
        self._at += 1

    def _escape(self) -> None:
        start = self._at - 1
        letter = self._here()
        good = letter in '"\\/bfnrtu'
        self._at += 1
        for _ in range(4 if letter == "u" else 0):
            good = good and self._here() in "0123456789abcdefABCDEF"
            if not good:
                break
            self._at += 1
        if not good:
            shown = self._text[start : start + (6 if letter == "u" else 2)]
            raise _Stopped(f"invalid escape sequence `{shown}` in string")

    def _word(self, word: str) -> None:
        for expected in word:
            letter = self._here()
            if letter != expected:
                self._stop(letter, f"in literal {word} (expecting {quoted(expected)})")
            self._at += 1

    def _number(self) -> None:
        found = NUMBER.match(self._text, self._at)
        half = HALF_NUMBER.match(self._text, self._at)
        ends = found.end() if found is not None else -1
        self._at = max(ends, half.end() if half is not None else ends)
        if self._at > ends:
            self._stop(self._here(), "in numeric literal")

    def _next(self) -> str | None:
        while self._at < len(self._text) and self._text[self._at] in BLANKS:
            self._at += 1
        return self._text[self._at] if self._at < len(self._text) else None

    def _here(self) -> str:
        if self._at >= len(self._text):
            raise _Stopped(ENDED)
        return self._text[self._at]

    def _stop(self, letter: str, where: str) -> None:
        raise _Stopped(f"invalid character {quoted(letter)} {where}")
