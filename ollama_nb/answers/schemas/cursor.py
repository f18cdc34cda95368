"""A place in a text that moves on as the pieces are read, and errors that name it.

What the pieces are is in `short_form`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ollama_nb.errors import BadSchema

BLANKS = re.compile(r"[ \t]*")
SPACE = re.compile(r"\s*")


@dataclass(slots=True)
class Cursor:
    """Where reading is, and how many brackets are open."""

    text: str
    place: int = 0
    depth: int = 0

    @property
    def next(self) -> str:
        """The character that is next; empty at the end."""
        return self.text[self.place : self.place + 1]

    def next_after_blanks(self) -> str:
        """Skip blanks and return the character that is next."""
        self.take(BLANKS)
        return self.next

    def take(self, pattern: re.Pattern[str]) -> str:
        """Move over what matches here and return it; empty where nothing does."""
        found = pattern.match(self.text, self.place)
        self.place = found.end() if found else self.place
        return found[0] if found else ""

    def has(self, character: str) -> bool:
        """Move over the character, and blanks before it, if it is next."""
        if self.next_after_blanks() != character:
            return False
        self.place += 1
        return True

    def error(self, sentence: str, place: int | None = None) -> BadSchema:
        """Return the error that stands here, or at another place."""
        return BadSchema(sentence, self.text, self.place if place is None else place)
