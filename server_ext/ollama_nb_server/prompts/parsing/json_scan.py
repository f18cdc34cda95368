"""Finds where JSON values end in a text that is still growing, without reading it twice."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a text."""

    start: int
    end: int


class BracketScan:
    """The balanced `{...}` (or `[...]`) of a text, one after the other.

    As Ollama's generic parser looks for them: quotes count outside of brackets too, and so does a
    backslash.
    """

    def __init__(self, opens: str = "{", closes: str = "}") -> None:
        self._opens = opens
        self._letter = re.compile(r'["\\' + re.escape(opens + closes) + "]")
        self._at, self._depth, self._start = 0, 0, -1
        self._quoted = False

    @property
    def start(self) -> int | None:
        """Where the pair begins that is still open."""
        return self._start if self._depth > 0 else None

    def next(self, text: str) -> Span | None:
        """The next pair, None if there is none yet; `text` may have grown since."""
        while (found := self._letter.search(text, self._at)) is not None:
            letter, at = found.group(), found.start()
            if letter == "\\":
                self._at = at + 2
                continue
            self._at = at + 1
            if letter == '"':
                self._quoted = not self._quoted
            elif not self._quoted and (span := self._brace(letter, at)) is not None:
                return span
        self._at = max(self._at, len(text))
        return None

    def _brace(self, letter: str, at: int) -> Span | None:
        if letter == self._opens:
            if self._depth == 0:
                self._start = at
            self._depth += 1
            return None
        self._depth -= 1
        if self._depth == 0 and self._start >= 0:
            span, self._start = Span(self._start, at + 1), -1
            return span
        self._depth = max(self._depth, 0)
        return None
