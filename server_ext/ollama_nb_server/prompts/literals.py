"""A rendered prompt in pieces: what a template wrote, and what somebody wrote who may be anybody.

The text of a prompt is what the template makes of the contents as they are. A second run, on marked
contents, tells which reserved texts in it are somebody's words; these become no special tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from ollama_nb_server.prompts.alignment import aligned
from ollama_nb_server.prompts.errors import PromptError
from ollama_nb_server.prompts.marks import marked, replaced, starts, texts_in, unused_letter
from ollama_nb_server.prompts.reserved import ReservedTexts, TextFinder, reserved_from_assistant


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a prompt. A literal one holds no special tokens but those of a vocabulary's words.

    No token of it reaches over a `seam`, a letter that is not read; "" is none.
    """

    text: str
    literal: bool = False
    seam: str = ""


@dataclass(frozen=True, slots=True)
class RenderedPrompt:
    """The text of a prompt, and where reserved texts begin in it that are somebody's words."""

    text: str
    literals: frozenset[int] = frozenset()

    def behind(self, before: str) -> RenderedPrompt:
        """It behind another text, all of whose special tokens count."""
        shifted = frozenset(len(before) + at for at in self.literals)
        return RenderedPrompt(before + self.text, shifted)


class TextGuard:
    """Keeps what people and tools write from becoming special tokens.

    Parameters
    ----------
    reserved
        The texts of the vocabulary's special tokens.
    tags
        Texts that mark thoughts and calls in the family's answers: an assistant's turns keep them.
    """

    def __init__(self, reserved: ReservedTexts, tags: Collection[str] = ()) -> None:
        self._reserved = reserved
        self._own = reserved_from_assistant(reserved, frozenset(tags))

    def rendered(self, render: Callable[..., str], *contents: Any) -> RenderedPrompt:
        """What `render` makes of contents: of texts, turns, and values that are made of texts."""
        plain = render(*contents)
        found = self._found(contents)
        if not found:
            return RenderedPrompt(plain)
        mark = unused_letter((plain, *(text for text, _ in texts_in(contents))))
        shown = self._shown(render, contents, mark) if mark else ""
        return RenderedPrompt(plain, aligned(plain, shown, mark, self._reserved.all, found))

    def reserved_in(self, text: str) -> frozenset[str]:
        """The reserved texts that stand in a text."""
        places = self._reserved.all.starts(text)
        return frozenset(text[at : at + length] for at, length in places)

    def literal(self, text: str) -> RenderedPrompt:
        """A text that is somebody's words from beginning to end."""
        return RenderedPrompt(text, frozenset(at for at, _ in self._reserved.all.starts(text)))

    def followed_by(self, prompt: RenderedPrompt, answer: str) -> RenderedPrompt:
        """A prompt and what the model said to it."""
        said = {len(prompt.text) + at for at, _ in self._own.starts(answer)}
        return RenderedPrompt(prompt.text + answer, prompt.literals | said)

    def pieces(self, prompt: RenderedPrompt) -> tuple[Piece, ...]:
        """The prompt cut at its template's own special tokens, where it must be cut at all."""
        if not prompt.literals:
            return (Piece(prompt.text),)
        return tuple(_joined(self._cut(prompt)))

    def _finder(self, own: bool) -> TextFinder:
        return self._own if own else self._reserved.all

    def _found(self, contents: Any) -> frozenset[str]:
        """The reserved texts that the contents hold, "" for one that is but begun."""
        return frozenset(
            text[at : at + self._reserved.all.length_at(text, at)]
            for text, own in texts_in(contents)
            for at in starts(text, self._finder(own))
        )

    def _shown(self, render: Callable[..., str], contents: Any, mark: str) -> str:
        """The prompt with marks; "" if the template does not take them."""

        def change(text: str, own: bool) -> str:
            return marked(text, starts(text, self._finder(own)), mark)

        try:
            return render(*replaced(contents, change))
        except PromptError:
            return ""

    def _cut(self, prompt: RenderedPrompt) -> Iterator[Piece]:
        """Pieces between the template's special tokens, and these."""
        text, begun, said = prompt.text, 0, list[int]()
        for start, length in self._reserved.all.starts(text):
            if start < begun:
                continue
            if start in prompt.literals:
                said.append(start)
            else:
                yield from self._between(text, begun, start, said)
                yield Piece(text[start : start + length])
                begun, said = start + length, []
        yield from self._between(text, begun, len(text), said)

    def _between(self, text: str, begin: int, end: int, said: list[int]) -> Iterator[Piece]:
        part = text[begin:end]
        if not said:
            yield Piece(part)
            return
        tags = self._reserved.user_defined
        cuts = [start - begin for start in said if tags.length_at(text, start)]
        seam = unused_letter([part]) if cuts else ""
        if seam or not cuts:
            yield Piece(marked(part, cuts, seam), literal=True, seam=seam)
            return
        bounds = [0, *(cut + 1 for cut in cuts), len(part)]  # all private letters are in use
        yield from (Piece(part[start:stop], literal=True) for start, stop in pairwise(bounds))


def _joined(pieces: Iterator[Piece]) -> Iterator[Piece]:
    """Neighbours that are not literal as one: they are read as they are today."""
    parts: list[str] = []
    for piece in pieces:
        if not piece.literal:
            parts.append(piece.text)
            continue
        if any(parts):
            yield Piece("".join(parts))
        parts = []
        yield piece
    if any(parts):
        yield Piece("".join(parts))
