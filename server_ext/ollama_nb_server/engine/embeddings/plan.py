"""Which texts of a request are computed together, and in which order: a function of their tokens.

How each piece is computed is the affair of `hidden_states`, when, of `core`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ollama_nb_server.engine.embeddings.tile_packing import Batch, Place, packed

FEW_ROWS = 16  # of a text: attention that goes row by row takes no longer for it than by tiles


@dataclass(frozen=True, slots=True)
class Piece:
    """Texts of one batch; a long text by itself may come in chunks; `tiled`: see `tile_packing`."""

    places: Batch
    chunked: bool = False
    tiled: bool = False


@dataclass(frozen=True, slots=True)
class Packing:
    """How many texts and rows may share a batch: row by row, and in tiles (0: there are none)."""

    max_texts: int
    max_rows: int
    num_tiles: int
    takes_chunks: Callable[[int], bool]

    def pieces(self, texts: Sequence[Sequence[int]]) -> deque[Piece]:
        """All texts, in an order that fills batches; the way of each depends on itself alone."""
        lengths = list(enumerate(map(len, texts)))
        chunked = [Place(0, *text) for text in lengths if self.takes_chunks(text[1])]
        others = [text for text in lengths if not self.takes_chunks(text[1])]
        few = [text for text in others if not self.num_tiles or text[1] <= FEW_ROWS]
        tiled = [(n, texts[n]) for n, count in others if self.num_tiles and count > FEW_ROWS]
        return deque(
            [
                *(Piece([place], chunked=True) for place in chunked),
                *map(Piece, self._in_rows(few)),
                *(Piece(batch, tiled=True) for batch in packed(tiled, max(self.num_tiles, 1))),
            ]
        )

    def _in_rows(self, texts: Iterable[tuple[int, int]]) -> list[Batch]:
        """The longest first, and with it the longest of the others that fit beside it."""
        left = sorted((length, number) for number, length in texts)
        batches: list[Batch] = []
        while left:
            length, number = left.pop()
            batches.append([Place(0, number, length)])
            used = length
            while len(batches[-1]) < self.max_texts:
                fitting = bisect_right(left, self.max_rows - used, key=lambda text: text[0])
                if not fitting:
                    break
                length, number = left.pop(fitting - 1)
                batches[-1].append(Place(used, number, length))
                used += length
        return batches
