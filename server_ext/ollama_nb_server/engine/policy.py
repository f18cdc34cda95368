"""What the next step computes. A function of lengths: no native calls, no clock.

Decoding sequences always get their token; prompts share what is left, the oldest first. Beside
others' tokens a step takes only a chunk of prompt, so that nobody waits long for a token.
"""

from __future__ import annotations

from collections.abc import Sequence as Many
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


def plan(sequences: Many[Sequence], num_batch: int) -> list[Item]:
    """Choose the pieces of the next batch, ordered by slot, at most `num_batch` tokens."""
    decoding = [s for s in sequences if not s.prefilling]
    prompts = sorted((s for s in sequences if s.prefilling), key=lambda s: s.began_ns)
    room = num_batch - len(decoding)
    if decoding:
        room = min(room, PREFILL_BESIDE_DECODE)
    items = [Item(s, 1) for s in decoding]
    for sequence in prompts:
        if room <= 0:
            break
        count = min(sequence.waiting, room)
        items.append(Item(sequence, count))
        room -= count
    return sorted(items, key=lambda item: item.sequence.slot)
