"""Finding marks in a text that comes in pieces: tags of calls and thoughts, however they are cut.

What becomes of them is decided in `constraint`.
"""

from __future__ import annotations

from collections.abc import Iterable


class MarkScanner:
    r"""Takes bytes in and says which of several marks is complete first.

    Examples
    --------
    >>> scanner = MarkScanner([b"<call>", b"</think>"])
    >>> [scanner.feed(piece) for piece in (b"Hm.</thi", b"nk", b">\n\n")]
    [None, None, (b'</think>', b'\n\n')]
    """

    def __init__(self, marks: Iterable[bytes]) -> None:
        self._marks = sorted(filter(None, set(marks)), key=len, reverse=True)
        self._longest = len(self._marks[0]) if self._marks else 0
        self._tail = b""  # the end of the text, shorter than the longest mark

    def feed(self, piece: bytes) -> tuple[bytes, bytes] | None:
        """The mark that is complete with the fewest bytes, and what stands behind it."""
        if not self._marks:
            return None
        text = self._tail + piece
        ends = [(at + len(mark), mark) for mark in self._marks if (at := text.find(mark)) >= 0]
        if ends:
            end, mark = min(ends, key=lambda found: found[0])  # of those, the longest
            self._tail = b""
            return mark, text[end:]
        self._tail = text[len(text) - self._longest + 1 :] if len(text) >= self._longest else text
        return None

    def begun(self, mark: bytes) -> int:
        """How many of a mark's first bytes stand at the end of the text."""
        lengths = range(min(len(mark) - 1, len(self._tail)), 0, -1)
        return next((n for n in lengths if self._tail.endswith(mark[:n])), 0)
