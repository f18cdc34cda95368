"""Who has which slot of the context, and what of its sequence lies there. It owns both together.

Live slots stay dense from 0 up: a hole would split llama.cpp's batches and double a step's time.
What is computed there is `model_runner`'s, who comes next is `core`'s affair.
"""

from __future__ import annotations

from typing import Protocol

from ollama_nb_server.engine.sequence import Sequence


class SequenceMemory(Protocol):
    """The memory of a context (natively: `native.Context`): tokens by slot and position."""

    def forget(self, seq: int, from_pos: int = 0) -> bool:
        """Drop a slot's tokens from a position on; False if it can only drop all of them."""

    def drop(self, seq: int, begin: int, end: int) -> None:
        """Drop tokens in the middle; the later ones move down in the next computation."""

    def move(self, source: int, target: int) -> None:
        """Move a whole slot into an empty one."""


class KVCache:
    """The slots of one context; each holds at most one sequence, and what is computed of it."""

    def __init__(self, memory: SequenceMemory | None, num_slots: int) -> None:
        self._memory, self.num_slots = memory, num_slots
        self._held: dict[int, Sequence] = {}

    @property
    def num_free(self) -> int:
        """Number of empty slots."""
        return self.num_slots - len(self._held)

    @property
    def sequences(self) -> list[Sequence]:
        """All sequences that have a slot, by slot."""
        return [self._held[slot] for slot in sorted(self._held)]

    def admit(self, sequence: Sequence) -> None:
        """Give a sequence the lowest empty slot."""
        slot = self._lowest_empty()
        self._held[slot], sequence.slot = sequence, slot

    def release(self, sequence: Sequence) -> None:
        """Take a sequence's slot back, and forget what was computed of it."""
        self.memory.forget(sequence.slot)
        del self._held[sequence.slot]

    def close_holes(self) -> None:
        """Move the highest sequences into the lowest holes, until there are none."""
        while self._held and (source := max(self._held)) >= len(self._held):
            target = self._lowest_empty()
            self.memory.move(source, target)
            sequence = self._held.pop(source)
            self._held[target], sequence.slot = sequence, target

    def shift(self) -> None:
        """Drop the older half of every full sequence that goes on beyond its context."""
        for sequence in (s for s in self.sequences if s.needs_shift):
            begin, end = sequence.outdated
            self.memory.drop(sequence.slot, begin, end)
            sequence.drop(begin, end)

    def settle(self, *, computed: bool) -> None:
        """Take note that what a shift was to move has been moved, by whichever computation came.

        An aborted one has left it half-moved: such a sequence is computed from its beginning.
        """
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

    def _lowest_empty(self) -> int:
        return next(slot for slot in range(self.num_slots) if slot not in self._held)
