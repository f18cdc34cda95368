"""Where images lie in a sequence, and which positions its tokens have because of them.

An image is rows of embeddings where others have tokens: each takes a place in the memory, but with
M-RoPE an image takes fewer positions than it has rows. Nothing native is known here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

IMAGE_ROW = -1  # stands in a sequence's tokens where a row of an image is


@dataclass(frozen=True, slots=True, eq=False)
class ImageSpan:
    """A part of an image that is computed without a break.

    `begin` counts the sequence's tokens and rows before it; `positions` has a line for each
    dimension, the first of which orders the rows. `at_once`: its rows see each other, so they
    belong into one batch. `key` is what tells it from other images.
    """

    begin: int
    rows: npt.NDArray[np.float32]
    positions: npt.NDArray[np.int32]
    num_positions: int
    at_once: bool = False
    key: int = IMAGE_ROW

    @property
    def end(self) -> int:
        """Where the next token is."""
        return self.begin + len(self.rows)

    @property
    def is_ordered(self) -> bool:
        """Whether each row has a position of its own, so that its later ones can be forgotten."""
        return bool((np.diff(self.positions[0]) > 0).all())


class Spans:
    """The images of one sequence, in order."""

    def __init__(self, spans: Iterable[ImageSpan] = ()) -> None:
        self._spans = tuple(spans)
        self._end = max((span.end for span in self._spans), default=0)

    def __bool__(self) -> bool:
        return bool(self._spans)

    def at(self, index: int) -> ImageSpan | None:
        """The image that has a row at this place."""
        if index >= self._end:
            return None
        return next((span for span in self._spans if span.begin <= index < span.end), None)

    def ahead(self, index: int) -> bool:
        """Whether a row of an image comes at this place or later."""
        return index < self._end

    def border(self, index: int, end: int) -> int:
        """Up to where everything from this place on is tokens, or of one image; at most `end`."""
        if index >= self._end:
            return end
        span = self.at(index)
        if span is not None:
            return min(span.end, end)
        return min(end, *(span.begin for span in self._spans if span.begin > index))

    def position(self, index: int) -> int:
        """The position of a token, or the first dimension of a row's."""
        if not self._spans:
            return index
        span = self.at(index)
        if span is not None:
            return int(span.positions[0, index - span.begin])
        before = (span for span in self._spans if span.end <= index)
        return index - sum(len(span.rows) - span.num_positions for span in before)

    def resumption(self, index: int) -> int:
        """From where an aborted computation goes on that had come to this place.

        Rows that share a position are forgotten together: such an image begins anew.
        """
        span = self.at(index)
        return index if span is None or span.is_ordered else span.begin

    def cut(self, index: int) -> int:
        """The last place up to this one where what is computed may end for good."""
        span = self.at(index)
        return span.begin if span is not None and span.at_once else self.resumption(index)

    def keys(self, tokens: list[int]) -> list[int]:
        """The tokens, with its image's key for each row: equal ones stand for equal contents."""
        keys = tokens[: self._end]
        for span in self._spans:
            keys[span.begin : span.end] = [span.key] * len(span.rows)
        return keys + tokens[self._end :] if self._spans else tokens


NO_SPANS = Spans()


@dataclass(frozen=True, slots=True)
class EncodedPrompt:
    """A prompt's tokens, with an IMAGE_ROW for each row of the images in `spans`.

    The first `num_public` are everybody's: see `Generate`.
    """

    tokens: list[int]
    spans: Spans = NO_SPANS
    num_public: int = 0
