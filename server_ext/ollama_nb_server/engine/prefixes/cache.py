"""The prefixes that a context knows: those of running sequences, of idle slots, and on the host.

Who has a slot is `kv_cache`'s affair; it asks here what can be put into one. What of a prefix may
be used again is decided in `prefix`.
"""

from __future__ import annotations

from collections.abc import Iterator
from operator import itemgetter
from typing import Any, Protocol

from ollama_nb_server.engine.prefixes.index import RadixIndex
from ollama_nb_server.engine.prefixes.prefix import (
    NO_SLOT,
    Kind,
    Prefix,
    PrefixRules,
    kind_of,
    promised,
)
from ollama_nb_server.engine.prefixes.store import PrefixStore
from ollama_nb_server.engine.sequence import Sequence

WORTH = 32  # tokens; fewer are not worth a copy, nor being waited for
LONG_COPY = 256 << 20  # bytes; no larger state is copied beside others just to be kept


class CopiedMemory(Protocol):
    """What is needed of a context's memory to use prefixes again."""

    def forget(self, seq: int, from_pos: int = 0) -> bool:
        """Drop a slot's tokens from a position on; False if it can only drop all of them."""

    def first_position(self, seq: int) -> int:
        """The first position that is still there in all layers."""

    def state_bytes(self, seq: int) -> int:
        """How large a copy of a slot's state is."""

    def save(self, seq: int) -> Any:
        """A copy of a slot's state on the host, with its `nbytes`; None if there is no memory."""

    def restore(self, seq: int, state: Any) -> bool:
        """Put a copied state into an empty slot; False if that failed, and the slot is empty."""


class PrefixCache:
    """Finds the longest known beginning of a prompt, and brings it where it is wanted.

    Each prefix is in the index from when it is known until it is let go of. Those on the host take
    `max_bytes` at most; 0: nothing is kept or shared at all.
    """

    def __init__(self, memory: CopiedMemory | None, rules: PrefixRules, max_bytes: int) -> None:
        self._memory, self._rules = memory, rules
        self.store = PrefixStore(max_bytes)
        self.running: dict[Sequence, Prefix] = {}
        self.idle: dict[int, Prefix] = {}
        self._indices: dict[Kind, RadixIndex[Prefix]] = {}
        self._copy: tuple[Prefix, int, Any] | None = None

    @property
    def is_on(self) -> bool:
        """Whether anything is kept and shared."""
        return self.store.max_bytes > 0

    @property
    def can_branch(self) -> bool:
        """Whether others can go on with any beginning of a sequence while that runs."""
        return self.is_on and not self._rules.whole and not self._rules.window

    def __len__(self) -> int:
        return sum(map(len, self._indices.values()))

    # --- sequences --------------------------------------------------------------------------------

    def begin(self, sequence: Sequence) -> None:
        """Take note that a sequence runs: others may begin with what it computes."""
        if self.is_on:
            common, _ = next(self._matches(sequence), (0, None))
            sequence.pauses = self._rules.pauses(sequence, common)
            self.running[sequence] = prefix = Prefix.running(sequence)
            self._list(prefix)

    def checkpoint(self, sequence: Sequence, *, alone: bool) -> None:
        """Copy a running sequence's state to the host, if it is where it was to stop for that."""
        if sequence.computed in sequence.pauses:
            sequence.pauses.remove(sequence.computed)
            prefix = Prefix.of(sequence, self._rules)
            if prefix.useful and not self._is_covered(prefix):
                self._list(prefix)
                if not self._copied(prefix, sequence.slot, alone=alone):
                    self._unlist(prefix)

    def end(self, sequence: Sequence, *, keep: bool) -> None:
        """A sequence is over: keep what is computed of it in its slot, or empty that."""
        if (running := self.running.pop(sequence, None)) is not None:
            self._unlist(running)
        prefix = Prefix.of(sequence, self._rules)
        if self.is_on and keep:
            self._measure(prefix, sequence.slot)
            if prefix.useful and not self._is_covered(prefix):
                prefix.slot = sequence.slot
                self.idle[prefix.slot] = prefix
                self._list(prefix)
                return
        self._forget(sequence.slot)

    def awaits(self, sequence: Sequence) -> bool:
        """Whether somebody is computing what a prompt begins with, and more than there is of it."""
        now, soon, leader = 0, 0, None
        for common, prefix in self._matches(sequence):
            if common <= max(now, soon):
                break
            now = max(now, self._reusable(prefix, common, sequence))
            if prefix.sequence is not None:
                count = promised(prefix.sequence, common, sequence, self._rules)
                soon, leader = max((soon, leader), (count, prefix.sequence), key=itemgetter(0))
        if soon - now < WORTH:
            return False
        if leader is not None and self._rules.shortest(leader.num_prompt):
            leader.pauses.add(soon)
        return True

    # --- filling slots ----------------------------------------------------------------------------

    def fill(self, slot: int, sequence: Sequence, *, alone: bool) -> int:
        """Put the longest known beginning of a prompt into a slot; how many tokens that is.

        What lies there of others is not lost: see `vacate`.
        """
        best, count = self._longest(sequence, slot)
        if best is None:
            self.vacate(slot, alone=alone)
            return 0
        is_used_up = best.length - count < WORTH and (best.passing or sequence.scores is None)
        if best.slot == slot:
            self._take(best, is_used_up, alone=alone)
        elif not self._bring(best, is_used_up, slot, alone=alone):
            return 0
        if self._forget(slot, sequence.spans.position(count)):
            return count
        self._forget(slot)
        return 0

    def vacate(self, slot: int, *, alone: bool) -> None:
        """Empty a slot that no sequence has; its prefix is copied to the host if it is worth it.

        Unless nobody else runs (`alone`), a large copy would make everybody wait.
        """
        if (prefix := self.idle.get(slot)) is not None:
            self._to_host(prefix, alone=alone)
        self._forget(slot)

    def forget_copies(self) -> None:
        """Let go of what was copied for those who were given slots at the same time."""
        self._copy = None

    def _longest(self, sequence: Sequence, slot: int) -> tuple[Prefix | None, int]:
        """The prefix that saves most; of two alike, the one that lies in the slot already."""
        best, most = None, 0
        for common, prefix in self._matches(sequence):
            if common < most:
                break
            is_here = prefix.slot == slot
            count = self._reusable(prefix, common, sequence, is_here=is_here)
            if count > most or (is_here and 0 < count == most):
                best, most = prefix, count
        return best, most

    def _reusable(
        self, prefix: Prefix, common: int, sequence: Sequence, *, is_here: bool = False
    ) -> int:
        """How much of a prefix a prompt can use: where it lies, or copied if that is worth it."""
        prefix.update(self._rules)
        if is_here:
            self._measure(prefix, prefix.slot)  # a context that has grown holds copies
        count = prefix.reusable(common, sequence, self._rules)
        if is_here:
            return count
        can_be_cut = count == prefix.computed or count >= self._rules.shortest(prefix.computed)
        return count if can_be_cut and count >= WORTH else 0

    def _take(self, prefix: Prefix, is_used_up: bool, *, alone: bool) -> None:
        """Let a prompt go on in the slot where a prefix lies; what others may want is copied."""
        if is_used_up:
            self._remove(prefix)
        else:
            self._to_host(prefix, alone=alone)

    def _bring(self, prefix: Prefix, is_used_up: bool, slot: int, *, alone: bool) -> bool:
        """Copy a prefix into a slot. If the prompt goes on with all of it, it is needed no more.

        Unless it cannot be cut: then what goes on with it serves nobody else who would.
        """
        state, can_be_cut = self._state_of(prefix), not self._rules.shortest(prefix.computed)
        if prefix.sequence is None and can_be_cut and is_used_up:
            self._let_go(prefix)
        elif prefix in self.store:
            self.store.touch(prefix)
        self.vacate(slot, alone=alone)
        return state is not None and self._contents.restore(slot, state)

    # --- keeping ----------------------------------------------------------------------------------

    def _measure(self, prefix: Prefix, slot: int) -> None:
        """Find out how far a state can be cut where it lies: further than a copy of it."""
        first, window = self._contents.first_position(slot), self._rules.window
        if not self._rules.whole:
            prefix.shortest = min(first + window, prefix.computed) if first > 0 else 0

    def _is_covered(self, prefix: Prefix) -> bool:
        """Whether a longer one serves everybody whom this one would; those that it covers go.

        One that is passing stands in for others of its kind only: it may be gone soon.
        """
        shorter = []
        for common, other in self._index_of(prefix.kind).matches(prefix.keys):
            if other.sequence is not None:
                continue
            covers = common == len(other.keys) and prefix.allows(other.length)
            is_covered = common == prefix.length and other.allows(prefix.length)
            if covers and other.passing >= prefix.passing:
                shorter.append(other)
            elif is_covered and other.passing <= prefix.passing:
                return True
        for other in shorter:
            self._let_go(other)
        return False

    def _to_host(self, prefix: Prefix, *, alone: bool) -> None:
        """Keep a copy of an idle slot's prefix on the host, or let go of it."""
        slot = prefix.slot
        del self.idle[slot]
        prefix.slot = NO_SLOT
        if prefix.passing or not self._copied(prefix, slot, alone=alone):
            self._unlist(prefix)

    def _copied(self, prefix: Prefix, slot: int, *, alone: bool) -> bool:
        """Whether a slot's state has been copied for a prefix; others may have had to go."""
        size, shortest = self._contents.state_bytes(slot), self._rules.shortest(prefix.computed)
        is_small = size <= self.store.max_bytes and (alone or size <= LONG_COPY)
        if not is_small or prefix.length < max(WORTH, shortest):
            return False
        prefix.state, prefix.shortest = self._contents.save(slot), shortest
        if prefix.state is None:
            return False
        for gone in self.store.put(prefix):
            self._unlist(gone)
        return True

    def _state_of(self, prefix: Prefix) -> Any:
        """A copy of a prefix's state; those who begin alike at the same time get the same one."""
        if prefix.state is not None:
            return prefix.state
        if prefix.sequence is None:
            return self._contents.save(prefix.slot)
        if self._copy is None or self._copy[:2] != (prefix, prefix.computed):
            state = self._contents.save(prefix.sequence.slot)
            self._copy = prefix, prefix.computed, state
        return self._copy[2]

    def _let_go(self, prefix: Prefix) -> None:
        """Forget a prefix, and empty the slot where it lies."""
        slot = prefix.slot
        self._remove(prefix)
        if slot != NO_SLOT:
            self._forget(slot)

    def _remove(self, prefix: Prefix) -> None:
        """Forget a prefix; what is in its slot stays there for whoever takes it."""
        self._unlist(prefix)
        if prefix.slot != NO_SLOT:
            del self.idle[prefix.slot]
        else:
            self.store.remove(prefix)

    def _forget(self, slot: int, from_pos: int = 0) -> bool:
        return self._contents.forget(slot, from_pos)

    @property
    def _contents(self) -> CopiedMemory:
        assert self._memory is not None, "a model that only embeds has no slots"
        return self._memory

    # --- the index --------------------------------------------------------------------------------

    def _list(self, prefix: Prefix) -> None:
        self._indices.setdefault(prefix.kind, RadixIndex()).add(prefix, prefix.keys)

    def _unlist(self, prefix: Prefix) -> None:
        index = self._indices[prefix.kind]
        index.remove(prefix)
        if not index:
            del self._indices[prefix.kind]

    def _matches(self, sequence: Sequence) -> Iterator[tuple[int, Prefix]]:
        return self._index_of(kind_of(sequence)).matches(sequence.keys)

    def _index_of(self, kind: Kind) -> RadixIndex[Prefix]:
        return self._indices.get(kind) or RadixIndex()
