"""How many sequences may be decoded together without one's logits depending on the others.

Kernels compute some numbers of rows otherwise than others, by the weights' type and the processor:
repacked Q4_K in fours, F16 one row otherwise than two. That is found by computing, once a load.
"""

from __future__ import annotations

from itertools import cycle, islice

from ollama_nb_server.engine.native import Batch, Context, Ints

FEW = 3  # rows that kernels for four do not take
NUM_TOKENS = 8  # to be tried; where rows depend on their number, nine of ten differ in some bit


class Trial:
    """Single tokens, each computed alone in an empty context, to be compared with company."""

    def __init__(self, context: Context, batch: Batch) -> None:
        self._context, self._batch = context, batch
        vocab = context.model.num_vocab
        self._tokens = [vocab * row // NUM_TOKENS for row in range(NUM_TOKENS)]
        self._alone: dict[int, Ints] = {}

    def alike(self, size: int) -> bool:
        """Whether each token's logits are the same to the bit beside `size - 1` others."""
        for at in range(0, NUM_TOKENS, size):
            group = list(islice(cycle(self._tokens), at, at + size))
            for token, row in zip(group, self._computed(group), strict=True):
                if token not in self._alone:
                    (self._alone[token],) = self._computed([token])
                if (self._alone[token] != row).any():
                    return False
        return True

    def _computed(self, tokens: list[int]) -> list[Ints]:
        """The bits of the logits behind each token, every one in a slot of its own."""
        self._batch.fill([(slot, 0, [token], True) for slot, token in enumerate(tokens)])
        self._context.decode(self._batch)
        logits = [self._context.logits(row).copy() for row in range(len(tokens))]
        self._context.clear()
        return [row.view("int32") for row in logits]


def rows_alike(context: Context, batch: Batch, num_slots: int) -> int:
    """The largest number of sequences that may be decoded together; 0: any number."""
    trial = Trial(context, batch)
    few = min(FEW, num_slots)
    if few > 1 and not trial.alike(few):
        return 1
    if few == num_slots or trial.alike(num_slots):
        return 0
    return few


def draft_rows_alike(context: Context, batch: Batch, alike: int) -> int:
    """How many tokens of one sequence may be computed together without a change of any bit.

    `alike` is the number of sequences that may (0: any), of which no more is tried.
    """
    count = min(NUM_TOKENS if alike == 0 else alike, batch.room)
    return count if count > 1 and _one_by_one_alike(context, batch, count) else 1


def _one_by_one_alike(context: Context, batch: Batch, count: int) -> bool:
    vocab = context.model.num_vocab
    rows = [(0, place, [vocab * place // NUM_TOKENS], True) for place in range(count)]
    found: list[list[Ints]] = []
    for batches in ([rows], [[row] for row in rows]):
        logits = []
        for part in batches:
            batch.fill(part)
            context.decode(batch)
            logits += [context.logits(at).copy().view("int32") for at in range(len(part))]
        context.clear()
        found.append(logits)
    return all((one == other).all() for one, other in zip(*found, strict=True))
