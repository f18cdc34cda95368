"""Whether texts may share tiles: found by computing, once a load.

What `tile_packing` builds on holds for the kernels that are known. Of all others it is tried.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ollama_nb_server.engine.embeddings.hidden_states import HiddenStates
from ollama_nb_server.engine.embeddings.tile_packing import TILE
from ollama_nb_server.engine.native import Floats

BEGINS, ENDS = (
    27,
    23,
)  # tokens of a text that begins at a multiple of 16, and of one that ends there
COMPANY = 20, 38  # tokens of others in the same tiles


def tiles_alike(states: HiddenStates, num_vocab: int, num_tiles: int) -> bool:
    """Whether two texts have the same vectors, to the bit, alone and among others in tiles."""
    begins, ends = _tokens(BEGINS, num_vocab, 1), _tokens(ENDS, num_vocab, 2)
    others = [_tokens(count, num_vocab, 3) for count in COMPANY]
    alone = [*_computed(states, [(0, begins)], TILE), *_computed(states, [(32 - ENDS, ends)], TILE)]
    last = (num_tiles - 1) * TILE
    placed = [(32, begins), (last + TILE - ENDS, ends), (0, others[0]), (last, others[1])]
    together = _computed(states, placed, last + TILE)
    return len(alone) == 2 and all(map(np.array_equal, alone, together))


def _computed(
    states: HiddenStates, placed: Sequence[tuple[int, list[int]]], num_rows: int
) -> list[Floats]:
    rows = states.compute_tiled(placed, num_rows) or []
    return [vectors.copy() for vectors in rows]


def _tokens(count: int, num_vocab: int, step: int) -> list[int]:
    """Tokens from all over the vocabulary."""
    return [(7919 * step + 104_729 * number) % num_vocab for number in range(count)]
