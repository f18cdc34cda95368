"""Where texts lie in a batch of many rows, so that each is computed alike wherever that is.

A function of lengths: no native calls. llama.cpp's flash attention takes rows by tiles of 64 and
adds up what a row sees by sixteens, each by itself. So a text's numbers do not change as long as it
lies within one tile and its sixteens do not shift: it begins at a multiple of 16, or ends at one.
Which of them, it must say itself (half do the one, half the other), so that two of them fill a
sixteen together; were it always the first, a third of all rows would be empty.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

TILE, BLOCK = 64, 16
ROWS_ALIGNED = 4  # kernels of several kinds of weights compute so many at once
# What a new tile counts for, in empty rows, against a place in one that is there. None is best for
# all requests: with many texts, those that end at a multiple of 16 fill up what the others leave.
PRICES = (0, 8, 2 * TILE)


@dataclass(frozen=True, slots=True)
class Place:
    """The first row of a text in its batch, and which text of the request it is."""

    row: int
    text: int
    length: int

    @property
    def end(self) -> int:
        """The row behind its last one."""
        return self.row + self.length

    def moved(self, rows: int) -> Place:
        """The same so many rows further."""
        return Place(self.row + rows, self.text, self.length)


Batch = list[Place]


def packed(texts: Iterable[tuple[int, Sequence[int]]], num_tiles: int) -> list[Batch]:
    """Batches of at most so many tiles with all of these texts, each named by a number.

    A text of more than a tile is a batch by itself, so that its last one is not filled up.
    """
    named = [(number, len(tokens), ends_aligned(tokens)) for number, tokens in texts]
    long = [[Place(0, number, length)] for number, length, _ in named if length > TILE]
    short = [text for text in named if text[1] <= TILE]
    tiles = min((_tiles(short, price) for price in PRICES), key=len)
    groups = (tiles[at : at + num_tiles] for at in range(0, len(tiles), num_tiles))
    return [*long, *map(_joined, groups)]


def num_rows(batch: Batch) -> int:
    """Rows that are computed for a batch: never fewer than a tile, or attention goes by rows."""
    return max(TILE, _up(max(place.end for place in batch), ROWS_ALIGNED))


def ends_aligned(tokens: Sequence[int]) -> bool:
    """Whether a text ends at a multiple of BLOCK, not begins at one; by its own tokens alone."""
    return len(tokens) <= TILE and sum(tokens) % 2 == 1


def _tiles(texts: Sequence[tuple[int, int, bool]], price: int) -> list[Batch]:
    """Tiles filled from their beginnings, with the longest texts first, those that begin aligned.

    A text goes where it leaves the fewest rows empty before itself, and there into the fullest.
    """
    open_tiles: dict[int, list[Batch]] = defaultdict(list)  # by their first empty row
    tiles: list[Batch] = []
    for number, length, at_end in sorted(texts, key=lambda text: (text[2], -text[1])):
        fitting = (
            (_row(used, length, at_end), used) for used, those in open_tiles.items() if those
        )
        costs = [(row - used, -used, row) for row, used in fitting if row + length <= TILE]
        first = _row(0, length, at_end)
        empty, used, row = min(costs, default=(first + price + 1, 0, first))
        if costs and empty <= first + price:
            tile = open_tiles[-used].pop()
        else:
            row = first
            tiles.append(tile := [])
        tile.append(Place(row, number, length))
        open_tiles[row + length].append(tile)
    return tiles


def _row(used: int, length: int, at_end: bool) -> int:
    return _up(used + length, BLOCK) - length if at_end else _up(used, BLOCK)


def _joined(tiles: Sequence[Batch]) -> Batch:
    """One tile behind the other."""
    return [place.moved(n * TILE) for n, tile in enumerate(tiles) for place in tile]


def _up(number: int, step: int) -> int:
    return -(-number // step) * step
