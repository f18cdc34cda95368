"""What a model thinks, told apart from what it answers, while its text comes in.

Sources: reference/ollama-models.md 7.3. The same pieces come out however the text is cut. Which
tags a model uses is decided above.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True, slots=True)
class Thoughts:
    """The texts around a model's thoughts; `begun` if the prompt ends with the first already."""

    opens: str
    closes: str
    begun: bool = False


class _Place(Enum):
    BEFORE = "blanks, or part of the opening tag"
    OPENED = "blanks behind the opening tag"
    INSIDE = "thoughts"
    CLOSED = "blanks behind the closing tag"
    ANSWER = "the answer, to the end"


class ThoughtSplitter:
    """Takes text in, gives (thinking, answer) out as soon as it is certain which is which.

    Thoughts count only at the beginning; blanks around the tags belong to neither. Without the
    opening tag all is answer, leading blanks included.

    Examples
    --------
    >>> splitter = ThoughtSplitter(Thoughts("<think>", "</think>"))
    >>> [splitter.feed(text) for text in ("<thi", "nk> Hm.", "</think>", " Four.")]
    [('', ''), ('Hm.', ''), ('', ''), ('', 'Four.')]
    """

    def __init__(self, thoughts: Thoughts) -> None:
        self._opens, self._closes = thoughts.opens, thoughts.closes
        self._place = _Place.OPENED if thoughts.begun else _Place.BEFORE
        self._held = ""

    def feed(self, text: str) -> tuple[str, str]:
        """What is certain now."""
        self._held += text
        if self._place is _Place.BEFORE:
            self._look_for_opening()
        if self._place is _Place.OPENED:
            self._skip_blanks(_Place.INSIDE)
        thinking = self._thinking() if self._place is _Place.INSIDE else ""
        if self._place is _Place.CLOSED:
            self._skip_blanks(_Place.ANSWER)
        answer = ""
        if self._place is _Place.ANSWER:
            answer, self._held = self._held, ""
        return thinking, answer

    def end(self) -> tuple[str, str]:
        """What is left when nothing more comes."""
        rest, self._held = self._held, ""
        if self._place is _Place.INSIDE:
            return rest, ""
        return "", rest if self._place is _Place.BEFORE else ""

    def _look_for_opening(self) -> None:
        begun = self._held.lstrip()
        if begun.startswith(self._opens):
            self._held, self._place = begun[len(self._opens) :], _Place.OPENED
        elif not self._opens.startswith(begun):
            self._place = _Place.ANSWER

    def _skip_blanks(self, then: _Place) -> None:
        self._held = self._held.lstrip()
        if self._held:
            self._place = then

    def _thinking(self) -> str:
        thinking, closed, rest = self._held.partition(self._closes)
        if closed:
            self._held, self._place = rest, _Place.CLOSED
            return thinking
        keep = next(
            n
            for n in range(min(len(self._closes) - 1, len(thinking)), -1, -1)
            if self._closes.startswith(thinking[len(thinking) - n :])
        )
        self._held = thinking[len(thinking) - keep :]
        return thinking[: len(thinking) - keep]
