"""What the next step computes. A function of lengths and counts: no native calls, no clock.

Decoding sequences always get their token, and what a grammar forced behind it if it fits. Prompts
share what is left: the shortest first, but a quarter goes to the one that came first, so that
neither a short one waits for a long one nor a long one for ever. Beside others' tokens a step takes
only a chunk of prompt, so that nobody waits long for a token.

Rows of an image are a batch of their own: llama.cpp takes either tokens or embeddings. Those that
see each other come at once, whatever the step has room for.

What a reproducible sequence is computed with depends on itself alone: its prompt is cut at fixed
places into batches of its own, and it decodes beside so few others that rows are computed singly.
"""

from __future__ import annotations

from collections import abc
from dataclasses import dataclass

from ollama_nb_server.engine.sequence import Sequence

PREFILL_BESIDE_DECODE = 64  # tokens of prompt in a step that also serves decoding sequences
CUT = 64  # a reproducible prompt is cut at multiples of it
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
    must not depend on who else is being served. Of reproducible sequences at most `alike` decode
    together (0: any number, with all others).
    """

    def __init__(self, num_batch: int, tile: int = 0, alike: int = 0) -> None:
        self.num_batch, self.tile, self.alike = num_batch, tile, alike

    def plan(self, sequences: abc.Sequence[Sequence]) -> list[list[Item]]:
        """The batches of the next step, the items of each ordered by slot."""
        decoding = [s for s in sequences if not s.prefilling]
        prompts = [s for s in sequences if s.prefilling]
        room = PREFILL_BESIDE_DECODE if decoding else self.num_batch
        if len(prompts) > 1:
            room = min(room, (1 + OTHERS_SHARE) * PIECE)
        apart = [s for s in decoding if self._decodes_apart(s)]
        together = _tails([s for s in decoding if s not in apart], self.num_batch)
        batches = self._alike(apart)
        if not self.tile:
            room = min(room, self.num_batch - sum(item.count for item in together))
        for item in self._pieces(prompts, room):
            if self._fits(item, together):
                together.append(item)
            else:
                batches.append([item])
        together.sort(key=lambda item: item.sequence.slot)
        return [batch for batch in (together, *batches) if batch]

    def _decodes_apart(self, sequence: Sequence) -> bool:
        return sequence.reproducible and (self.alike > 0 or sequence.waiting > 1)

    def _alike(self, sequences: abc.Sequence[Sequence]) -> list[list[Item]]:
        """Reproducible ones that decode: single tokens in small batches, forced ones by itself."""
        forced = [s for s in sequences if s.waiting > 1]
        single = [Item(s, 1) for s in sequences if s.waiting == 1]
        size = self.alike or 1
        batches = [single[at : at + size] for at in range(0, len(single), size)]
        return batches + [[Item(s, min(s.waiting, self.num_batch))] for s in forced]

    def _fits(self, item: Item, together: list[Item]) -> bool:
        """Whether a prompt's piece may be computed with what others have in this step."""
        if item.sequence.spans.at(item.sequence.computed):
            return False
        count = sum(other.count for other in together) + item.count
        return not (item.sequence.reproducible or item.count == self.tile or count > self.num_batch)

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
        """How much of a prompt fits; neither a tile nor a reproducible piece is ever cut."""
        if room <= 0:
            return 0
        image = sequence.spans.at(sequence.computed)
        if image is not None and image.at_once:
            return len(image.rows)
        most = self.tile or room
        if sequence.reproducible:
            cut = min(CUT, self.num_batch)
            most = cut - sequence.computed % cut
        count = min(sequence.num_alike, most)
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
