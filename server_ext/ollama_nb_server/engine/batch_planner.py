"""What the next step computes. A function of lengths and counts: no native calls, no clock.

Decoding sequences always get their token, and what a grammar forced behind it if it fits. Prompts
share what is left: the shortest first, but a quarter goes to the one that came first, so that
neither a short one waits for a long one nor a long one for ever. Beside others' tokens a step takes
only a chunk of prompt, so that nobody waits long for a token.
"""

from __future__ import annotations

from collections import abc
from dataclasses import dataclass

from ollama_nb_server.engine.sequence import Sequence

PREFILL_BESIDE_DECODE = 64  # tokens of prompt in a step that also serves decoding sequences
PIECE = 64  # tokens that the first-come prompt gets when it is its turn
OTHERS_SHARE = 3  # tokens of prompt that others may get for each of the first-come one's


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
        prompts = [s for s in sequences if s.prefilling]
        room = PREFILL_BESIDE_DECODE if decoding else self.num_batch
        if len(prompts) > 1:
            room = min(room, (1 + OTHERS_SHARE) * PIECE)
        together = _tails(decoding, self.num_batch)
        if not self.tile:
            room = min(room, self.num_batch - sum(item.count for item in together))
        apart = []
        for item in self._pieces(prompts, room):
            fits = sum(i.count for i in together) + item.count <= self.num_batch
            if item.count == self.tile or not fits:
                apart.append([item])
            else:
                together.append(item)
        together.sort(key=lambda item: item.sequence.slot)
        return [batch for batch in (together, *apart) if batch]

    def _pieces(self, prompts: abc.Sequence[Sequence], room: int) -> list[Item]:
        """The prompts' pieces, in the order of their turns; of each one piece at most."""
        first = min(prompts, key=_arrival, default=None)
        shares: dict[Sequence, int] = {}
        if first is not None and first.passed_over >= OTHERS_SHARE * PIECE:
            shares[first] = self._piece(first, min(PIECE, room))
            room -= shares[first]
        for sequence in sorted(prompts, key=lambda s: (s.waiting, _arrival(s))):
            held = shares.get(sequence, 0)
            shares[sequence] = self._piece(sequence, held + room)
            room -= shares[sequence] - held
        return [Item(sequence, count) for sequence, count in shares.items() if count]

    def _piece(self, sequence: Sequence, room: int) -> int:
        """How much of a prompt fits; a tile is never cut."""
        count = min(sequence.waiting, self.tile or room)
        return count if count <= room else 0


def note_turns(items: abc.Iterable[Item], sequences: abc.Iterable[Sequence]) -> None:
    """Count the prompt tokens of a batch that the first-come prompt has had to wait for.

    Call it once the batch is computed, before its sequences know: aborted ones do not count.
    """
    first = min((s for s in sequences if s.prefilling), key=_arrival, default=None)
    if first is None:
        return
    counts = {item.sequence: item.count for item in items if item.sequence.prefilling}
    own = counts.pop(first, 0)
    passed = first.passed_over + sum(counts.values()) - OTHERS_SHARE * own
    first.passed_over = max(passed, 0)


def _arrival(sequence: Sequence) -> int:
    return sequence.began_ns


def _tails(decoding: abc.Sequence[Sequence], num_batch: int) -> list[Item]:
    """A token of each sequence, and more of those for which more waits, as far as there is room."""
    items, spare = [], num_batch - len(decoding)
    for sequence in decoding:
        more = min(sequence.waiting - 1, spare)
        spare -= more
        items.append(Item(sequence, 1 + more))
    return items
