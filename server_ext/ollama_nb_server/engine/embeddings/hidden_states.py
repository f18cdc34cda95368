"""The vectors of tokens before any pooling: the context that computes them, a few rows at a time.

Which texts are computed together, and what becomes of their vectors, is decided in `embedder`.
What a text's vectors are must not depend on who else is computed, in the same batch or between two
of its own. These rules see to it, on a CPU:

- A batch has a multiple of ROWS_ALIGNED rows, MIN_ROWS at least, filled up with a sequence of its
  own: kernels of several kinds of weights compute so many at once, fewer of them otherwise.
- Texts share a batch below FLASH_TILE rows, where attention goes row by row and leaves out what a
  row does not see. From there on it goes by tiles, and where a text lies in them counts: texts of
  encoders share those by the rules of `tile_packing`, where a load has found that these hold.
- At most one text takes more than one batch; others come and go behind its cells.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from ollama_nb_server.engine.embeddings.tile_packing import ROWS_ALIGNED, TILE
from ollama_nb_server.engine.native import (
    FLASH_TILE,
    AbortSwitch,
    Batch,
    Context,
    Floats,
    Model,
    embedding_context,
)

CHUNK = 128  # rows of one batch; each costs a row of logits, which nobody reads
MIN_ROWS = 8
ROWS_TOGETHER = FLASH_TILE - ROWS_ALIGNED  # rows of a batch that several texts share
MIN_CELLS = 512
MAX_TEXTS = 14  # texts in one batch
MAX_TILES = 4  # of one batch, of a model that computes so many soon
MANY_PARAMS, FEW_TILES = 100_000_000, 2  # others wait for a batch: of a larger model it is smaller
# Sequences: the long text, the others, and what fills rows up, one of each tile, so that a tile
# has nothing to do with another.
CHUNKED, FIRST, FILLING = 0, 1, MAX_TEXTS + 1

Item = tuple[int, int, Sequence[int]]  # sequence, first position, tokens


class HiddenStates:
    """Computes tokens' vectors with one model.

    Its context is made for the first text, and made larger for the first longer one: a text of a
    causal model goes through it in chunks and needs only its cells; of others it needs all rows.
    """

    def __init__(self, model: Model, threads: int, abort: AbortSwitch) -> None:
        self._model, self._threads, self._abort = model, threads, abort
        self._context: Context | None = None
        self._batch = Batch(CHUNK)
        self._cells = 0
        self.max_texts = 1 if model.recurs else MAX_TEXTS
        self.max_tiles = MAX_TILES if model.num_params < MANY_PARAMS else FEW_TILES
        self._causal = model.generates  # others show it when their context is there

    def close(self) -> None:
        """Free the context."""
        if self._context is not None:
            self._context.close()
            self._context = None

    def use_threads(self, threads: int) -> None:
        """Compute the next batches with so many threads."""
        if threads != self._threads and self._context is not None:
            self._context.set_threads(threads)
        self._threads = threads

    @property
    def size_bytes(self) -> int:
        """Roughly the memory of the context: cells, logits (computed, and copied), activations."""
        if self._context is None:
            return 0
        cells = self._cells * self._model.kv_bytes_per_token if self._context.memory else 0
        logits = 4 * self._batch.room * self._model.num_vocab
        return cells + logits + self._model.compute_bytes(self._batch.room)

    @property
    def encodes(self) -> bool:
        """Whether each batch is computed by itself: no memory, every token sees its whole text."""
        return self._context is not None and not self._context.memory

    def takes_chunks(self, num_tokens: int) -> bool:
        """Whether a text of this length is computed in several batches."""
        return num_tokens > CHUNK and self._causal

    def compute(self, items: Sequence[Item], num_tokens: int = 0) -> list[Floats] | None:
        """The vectors of each item's tokens, good until the next batch; None if it was aborted.

        `num_tokens` is the length of a text that comes in chunks. An aborted batch leaves a state
        of its sequences that has to be forgotten.
        """
        count = sum(len(tokens) for _, _, tokens in items)
        rows = self._decoded(self._filled(items, count), num_tokens)
        self.forget(FILLING)
        if rows is None:
            return None
        starts = [sum(len(tokens) for _, _, tokens in items[:at]) for at in range(len(items))]
        return [
            rows[at : at + len(tokens)] for at, (_, _, tokens) in zip(starts, items, strict=True)
        ]

    def compute_tiled(
        self, placed: Sequence[tuple[int, Sequence[int]]], num_rows: int
    ) -> list[Floats] | None:
        """The same of whole texts at these rows of a batch of an encoder."""
        rows = self._decoded(_with_gaps_filled(placed, num_rows))
        if rows is None:
            return None
        return [rows[at : at + len(tokens)] for at, tokens in placed]

    def _decoded(self, items: Sequence[Item], num_tokens: int = 0) -> Floats | None:
        """The vectors of all rows, one behind the other."""
        count = sum(len(tokens) for _, _, tokens in items)
        context = self._opened(count, num_tokens)
        self._batch.fill([(*item, True) for item in items])
        self._batch.all_outputs()
        return context.hidden_states(count) if context.decode(self._batch) else None

    def forget(self, seq: int, from_pos: int = 0) -> bool:
        """Drop a sequence's tokens from a position on; False if it can only drop all of them."""
        return self._context is None or self._context.forget(seq, from_pos)

    def wipe(self) -> None:
        """Drop all and leave zeros: what is no number would be one nowhere, not even unseen."""
        if self._context is not None:
            self._context.clear(wipe=True)

    def _filled(self, items: Sequence[Item], count: int) -> Sequence[Item]:
        missing = max(MIN_ROWS - count, -count % ROWS_ALIGNED)
        missing = 0 if self._model.recurs else missing  # its batches are cut by sequences
        return [*items, (FILLING, 0, [items[0][2][0]] * missing)] if missing else items

    def _opened(self, count: int = 1, num_tokens: int = 0) -> Context:
        """The context, with room for a batch and for a longer text's cells beside it."""
        rows = max(CHUNK, _power_of_two(count))
        cells = max(MIN_CELLS, rows, _power_of_two(num_tokens)) + CHUNK
        if self._context is None or rows > self._batch.room or cells > self._cells:
            self.close()
            self._batch, self._cells = Batch(max(rows, self._batch.room)), max(cells, self._cells)
            self._context = embedding_context(
                self._model,
                num_cells=self._cells,
                num_rows=self._batch.room,
                num_seqs=FIRST + self.max_texts + (0 if self._model.recurs else MAX_TILES),
                threads=self._threads,
                abort=self._abort,
            )
            self._causal = self._context.causal
        return self._context


def _with_gaps_filled(placed: Sequence[tuple[int, Sequence[int]]], num_rows: int) -> list[Item]:
    """Texts at their rows, and something else in every other row."""
    items: list[Item] = []
    texts = sorted(placed, key=lambda text: text[0])
    filled = dict.fromkeys(range(FILLING, FILLING + num_rows // TILE + 1), 0)
    used, token = 0, texts[0][1][0]
    for seq, (row, tokens) in enumerate([*texts, (num_rows, ())], FIRST):
        for begin, end in _by_tiles(used, row):
            other = FILLING + begin // TILE
            items.append((other, filled[other], [token] * (end - begin)))
            filled[other] += end - begin
        items += [(seq, 0, tokens)] if tokens else []
        used = row + len(tokens)
    return items


def _by_tiles(begin: int, end: int) -> list[tuple[int, int]]:
    """These rows, cut where a tile ends."""
    cuts = [begin, *range(TILE * (begin // TILE + 1), end, TILE), end]
    return [(a, b) for a, b in itertools.pairwise(cuts) if a < b]


def _power_of_two(least: int) -> int:
    return 1 << max(least - 1, 0).bit_length()
