"""Finds tags in a text that is still growing: whole ones, and the beginning of one at its end."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache


class Tags:
    """Tags that are looked for at once: the first one counts, of two at one place the longer."""

    def __init__(self, tags: Sequence[str]) -> None:
        self._tags = sorted(filter(None, tags), key=len, reverse=True)
        self.longest = max([1, *map(len, tags)])
        self._whole = re.compile("|".join(map(re.escape, self._tags)))
        self._letters = frozenset(tag[0] for tag in self._tags)

    def first(self, text: str, start: int) -> tuple[int, str] | None:
        """The place of the first one from `start` on, and which it is."""
        found = self._whole.search(text, start) if self._tags else None
        return (found.start(), found.group()) if found else None

    def begun(self, text: str) -> int:
        """Length of the longest end of a text that one of them begins with."""
        if self._letters.isdisjoint(text[-self.longest :]):
            return 0
        return max(overlap(text, tag) for tag in self._tags)


@lru_cache(maxsize=1024)
def tags_of(tags: tuple[str, ...]) -> Tags:
    """The same for the same tags."""
    return Tags(tags)


def overlap(text: str, tag: str) -> int:
    """Length of the longest end of a text that a tag begins with."""
    at = max(len(text) - len(tag) + 1, 0)
    while (at := text.find(tag[0], at)) >= 0:
        if tag.startswith(text[at:]):
            return len(text) - at
        at += 1
    return 0
