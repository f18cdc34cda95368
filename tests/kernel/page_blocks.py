"""The fenced blocks of a page of documentation, each with the line that it stands on."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FENCE = re.compile(r"^ *(?P<marks>`{3,}|~{3,}) *(?P<language>.*?) *$")


@dataclass(frozen=True)
class Block:
    page: str
    line: int  # of its first line of text
    language: str
    text: str

    @property
    def key(self) -> tuple[str, str]:
        """What the tables of the tests know it by, which other lines of the page do not change."""
        return self.page, self.text.partition("\n")[0]

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_of(path: Path, page: str) -> Iterator[Block]:
    """Yield the blocks of a page in order.

    Raises
    ------
    ValueError
        For a fence that is never closed, and for code that is told by its indentation: nobody
        could say what it is written in.
    """
    lines = path.read_text("utf-8").splitlines()
    place = 0
    while place < len(lines):
        if found := _FENCE.match(lines[place]):
            end = _closed(lines, place + 1, found["marks"], page)
            text = "".join(f"{line}\n" for line in lines[place + 1 : end])
            yield Block(page, place + 2, found["language"], text)
            place = end
        elif lines[place].startswith("    ") and not "".join(lines[place - 1 : place]).strip():
            raise ValueError(f"{page}:{place + 1}: put code between fences that name its language")
        place += 1


def _closed(lines: list[str], begin: int, marks: str, page: str) -> int:
    for place in range(begin, len(lines)):
        if lines[place].strip() == marks:
            return place
    raise ValueError(f"{page}:{begin}: this fence is never closed")
