"""What the next step computes. A function of lengths: no native calls, no clock.

Decoding sequences always get their token, and what a grammar forced behind it if it fits; prompts
share what is left, the oldest first. Beside others' tokens a step takes only a chunk of prompt, so
that nobody waits long for a token.
"""

from __future__ import annotations

from collections import abc
from dataclasses import dataclass

from ollama_nb_server.engine.sequence import Sequence

PREFILL_BESIDE_DECODE = 64  # tokens of prompt in a step that also serves decoding sequences


@dataclass(frozen=True, slots=True)
class Item:
    """A piece of a sequence's waiting tokens; with `last` its next token is drawn afterwards."""

    sequence: Sequence
    count: int

    @property
    def last(self) -> bool:
        """Whether nothing of the sequence waits after this."""
        return self.count == self.sequence.waiting


class BatchPlanner:
    """Chooses the pieces of every step and their batches, each of at most `num_batch` tokens.

    With a `tile`, a prompt is cut at its multiples and a whole tile is a batch of its own: flash
    attention computes so many rows at once otherwise than fewer, and what a sequence's logits are
    must not depend on who else is being served.
    """

    def __init__(self, num_batch: int, tile: int = 0) -> None:
        self.num_batch, self.tile = num_batch, tile

    def plan(self, sequences: abc.Sequence[Sequence]) -> list[list[Item]]:
        """The batches of the next step, the items of each ordered by slot."""
        decoding = [s for s in sequences if not s.prefilling]
        prompts = sorted((s for s in sequences if s.prefilling), key=lambda s: s.began_ns)
        room = PREFILL_BESIDE_DECODE if decoding else self.num_batch
        together, spare = _tails(decoding, self.num_batch)
        tiles = []
        if not self.tile:
            room = min(room, spare)
        for sequence in prompts:
            count = min(sequence.waiting, self.tile or room)
            if room < max(count, 1):
                break
            room -= count
            fits = sum(item.count for item in together) + count <= self.num_batch
            if count == self.tile or not fits:
                tiles.append([Item(sequence, count)])
            else:
                together.append(Item(sequence, count))
        together.sort(key=lambda item: item.sequence.slot)
        return [batch for batch in (together, *tiles) if batch]


def _tails(decoding: abc.Sequence[Sequence], num_batch: int) -> tuple[list[Item], int]:
    """A token of each sequence, and more of those for which more waits; and the room left over."""
    items, spare = [], num_batch - len(decoding)
    for sequence in decoding:
        more = min(sequence.waiting - 1, spare)
        spare -= more
        items.append(Item(sequence, 1 + more))
    return items, spare
