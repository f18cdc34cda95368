"""Who has which slot of the context. Bookkeeping only; `step` carries the moves out.

Live slots stay dense from 0 up: a hole would split llama.cpp's batches and double a step's time.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ollama_nb_server.engine.sequence import Sequence


@dataclass(frozen=True, slots=True)
class Move:
    """Sequence state goes from one slot to another, empty one."""

    source: int
    target: int


@dataclass(slots=True)
class Slots:
    """The places of a context; each holds at most one sequence."""

    size: int
    _held: dict[int, Sequence] = field(default_factory=dict)

    @property
    def free(self) -> int:
        """Number of empty places."""
        return self.size - len(self._held)

    @property
    def sequences(self) -> list[Sequence]:
        """All sequences that have a place, by place."""
        return [self._held[slot] for slot in sorted(self._held)]

    def admit(self, sequence: Sequence) -> None:
        """Give a sequence the lowest empty place."""
        slot = next(n for n in range(self.size) if n not in self._held)
        self._held[slot], sequence.slot = sequence, slot

    def release(self, sequence: Sequence) -> None:
        """Take a sequence's place back."""
        del self._held[sequence.slot]

    def close_holes(self) -> list[Move]:
        """Move the highest sequences into the lowest holes, until there are none."""
        moves = []
        while self._held and (source := max(self._held)) >= len(self._held):
            target = next(n for n in range(self.size) if n not in self._held)
            sequence = self._held.pop(source)
            self._held[target], sequence.slot = sequence, target
            moves.append(Move(source, target))
        return moves
