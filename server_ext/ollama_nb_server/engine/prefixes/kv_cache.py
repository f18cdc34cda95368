"""Who has which slot of the context, and what of its sequence lies there. It owns both together.

Live slots stay dense from 0 up: a hole would split llama.cpp's batches and double a step's time.
Behind them lie idle slots: what was computed of sequences that are over stays there until the slot
is needed, and a prompt that begins with the same tokens goes on with it (`cache`).
What is computed there is `model_runner`'s, who comes next is `core`'s affair.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from ollama_nb_server.engine.batching.shapes import again
from ollama_nb_server.engine.prefixes.cache import CopiedMemory, PrefixCache
from ollama_nb_server.engine.prefixes.prefix import PrefixRules
from ollama_nb_server.engine.sequence import Sequence


class SequenceMemory(CopiedMemory, Protocol):
    """The memory of a context (natively: `native.Context`): tokens by slot and position."""

    def drop(self, seq: int, begin: int, end: int) -> None:
        """Drop tokens in the middle; the later ones move down in the next computation."""

    def move(self, source: int, target: int) -> None:
        """Move a whole slot into an empty one; its data follow in the next computation."""


class KVCache:
    """The slots of one context; each holds at most one sequence, and what is computed of it.

    A sequence has a slot from `acquire` to `release`; `close_holes` may give it another one.
    `rules` say which prefixes may be used again. `max_bytes` is what copies of those that have no
    slot any more may take on the host; 0: nothing is kept, and nothing shared.
    """

    def __init__(
        self,
        memory: SequenceMemory | None,
        num_slots: int,
        rules: PrefixRules | None = None,
        max_bytes: int = 0,
    ) -> None:
        self._memory, self.num_slots = memory, num_slots
        self._held: dict[int, Sequence] = {}
        self._moved: set[int] = set()  # slots whose data move in the next computation
        self.prefixes = PrefixCache(memory, rules or PrefixRules(), max_bytes)

    @property
    def num_free(self) -> int:
        """Number of slots that no sequence has."""
        return self.num_slots - len(self._held)

    @property
    def sequences(self) -> list[Sequence]:
        """All sequences that have a slot, by slot."""
        return [self._held[slot] for slot in sorted(self._held)]

    @property
    def is_moving(self) -> bool:
        """Whether somebody's data still have to move: until then `acquire` copies nothing."""
        return bool(self._moved and self._held)

    @property
    def occupied(self) -> list[int]:
        """The slots in which something lies: of sequences, and what they left for others."""
        return sorted({*self._held, *self.prefixes.idle})

    @property
    def is_settled(self) -> bool:
        """Whether everything lies where it belongs: nothing is still to move or to shift."""
        return not (self._moved or any(sequence.unsettled for sequence in self.sequences))

    def acquire(self, sequence: Sequence) -> None:
        """Give a sequence the lowest free slot, and in it as much of its prompt as there is.

        Sets its `slot`, `computed` and `num_cached`. One token at least is left to be computed.
        """
        slot, alone = self._lowest_free(), not self._held
        sequence.slot, count = slot, 0
        if slot in self._moved:
            self.memory.forget(slot)
        else:
            count = self.prefixes.fill(slot, sequence, alone=alone)
        sequence.computed = sequence.num_cached = count
        self._held[slot] = sequence
        self.prefixes.begin(sequence)

    def checkpoint(self) -> None:
        """Copy the states that others may want, of sequences that have stopped for that."""
        for sequence in self.sequences:
            if sequence.slot not in self._moved:
                self.prefixes.checkpoint(sequence, alone=len(self._held) == 1)

    def awaits(self, sequence: Sequence) -> bool:
        """Whether a sequence had better get its slot later: another one computes its prefix."""
        return self.prefixes.awaits(sequence)

    def release(self, sequence: Sequence, *, keep: bool = True) -> None:
        """Take a sequence's slot back; with `keep`, what was computed of it stays for others."""
        del self._held[sequence.slot]
        self.prefixes.end(sequence, keep=keep and sequence.slot not in self._moved)

    def even_out(self, new: Iterable[Sequence]) -> None:
        """Let prompts compute some known tokens again, where that makes them as long as others.

        Not those whose borders decide about bits, nor where memory cannot be cut anywhere.
        """
        if self.prefixes.can_branch:
            able = [s for s in new if s.computed and not (s.reproducible or s.spans)]
            for sequence, count in again(able).items():
                sequence.computed = sequence.num_cached = sequence.computed - count
                self.memory.forget(sequence.slot, sequence.position)

    def close_holes(self) -> None:
        """Move the highest sequences into the lowest holes, until there are none."""
        self.prefixes.forget_copies()
        while self._held and (source := max(self._held)) >= len(self._held):
            target = self._lowest_free()
            self.prefixes.vacate(target, alone=False)
            self.memory.move(source, target)
            self._moved |= {source, target}
            sequence = self._held.pop(source)
            self._held[target], sequence.slot = sequence, target

    def shift(self) -> None:
        """Drop the older half of every full sequence that goes on beyond its context."""
        for sequence in (s for s in self.sequences if s.needs_shift):
            begin, end = sequence.outdated
            self.memory.drop(sequence.slot, begin, end)
            sequence.drop(begin, end)

    def settle(self, *, computed: bool) -> None:
        """Take note that what was to move has been moved, by whichever computation came.

        An aborted one has left a shift half-done: such a sequence is computed from its beginning.
        """
        self._moved.clear()
        for sequence in (s for s in self.sequences if s.unsettled):
            sequence.unsettled = False
            if not computed:
                self._restart(sequence)

    def roll_back(self, sequence: Sequence) -> None:
        """Forget what an aborted computation has left of a sequence beyond what counts."""
        sequence.step_back()
        if not self.memory.forget(sequence.slot, sequence.position):
            self._restart(sequence)  # a recurrent state has no yesterday

    @property
    def memory(self) -> SequenceMemory:
        """The context's memory."""
        assert self._memory is not None, "a model that only embeds has no slots"
        return self._memory

    def _restart(self, sequence: Sequence) -> None:
        self.memory.forget(sequence.slot)
        sequence.computed = 0

    def _lowest_free(self) -> int:
        return next(slot for slot in range(self.num_slots) if slot not in self._held)
