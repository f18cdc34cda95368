"""What has been computed once and may be used again: which tokens, how much of them, and where.

Rules only; nothing native. What is found, copied and let go is decided in `cache`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ollama_nb_server.engine.sequence import Sequence

NO_SLOT = -1

Kind = bool  # whether answers are reproducible: then the borders of pieces decide about bits


def kind_of(sequence: Sequence) -> Kind:
    """What tells the prefixes that a sequence can use from those of others, beside their keys."""
    return sequence.reproducible


@dataclass(frozen=True, slots=True)
class PrefixRules:
    """How a model's memory, and the kernels that fill it, let prefixes be used again.

    A prompt is computed in pieces whose borders decide the last bits. Where these must not depend
    on what was computed before (reproducible ones), a prefix ends where a piece of a fresh prompt
    ends: at a multiple of `cut` tokens.
    A `whole` memory (a recurrent state) cannot be cut at all. With a `window`, older tokens than so
    many have gone from some layers: a longer state can be cut only as far as they are still there.
    """

    cut: int = 64
    whole: bool = False
    window: int = 0

    def piece(self, sequence: Sequence) -> int:
        """A prefix of this sequence ends at a multiple of it."""
        return self.cut if sequence.reproducible else 1

    def length(self, sequence: Sequence, computed: int) -> int:
        """How many tokens others may use again when so many of a sequence are computed.

        Where pieces count, only those of its prompt: what it has written was computed token by
        token. A shifted sequence's memory is nobody else's; and where tokens have left the window,
        the places of the others depend on how they left.
        """
        piece = self.piece(sequence)
        if sequence.discarded or (piece > 1 and 0 < self.window < computed):
            return 0
        if piece > 1:
            computed = min(computed, sequence.num_prompt)
        return computed - computed % piece

    def shortest(self, computed: int) -> int:
        """The fewest tokens that a copy of the state of so many can be cut to."""
        return computed if self.whole or 0 < self.window < computed else 0

    def pauses(self, sequence: Sequence, common: int) -> set[int]:
        """Where to stop for a copy, because a longer state cannot be cut there.

        That is where a prompt parts from another one, with which it has `common` tokens: a third
        one may. And it is where a recurrent model's prompt ends: the same one may come again, or
        the conversation go on with another text than was written; not with one that is only scored.
        """
        comes_again = self.whole and sequence.scores is None
        places = {common, sequence.num_prompt} if comes_again else {common}
        ends = {beginning(sequence, place, self) for place in places}
        return {end for end in ends if end > sequence.computed and self.shortest(end)}


@dataclass(slots=True, eq=False)
class Prefix:
    """Computed tokens that others' prompts may begin with.

    They lie in the slot of a `sequence` that still runs, in a `slot` that is idle, or on the host
    as a copied `state`. Of `computed` tokens there, `length` may be used again; if they are cut,
    to no fewer than `shortest`. `keys` are what a prompt must begin with: its tokens, and what
    tells images and users apart. A `passing` one, of a prompt that was only read for scores, stays
    where it lies until the slot is needed, for prompts that begin alike, and pushes nobody out.
    """

    keys: list[int]
    kind: Kind
    computed: int = 0
    length: int = 0
    shortest: int = 0
    slot: int = NO_SLOT
    state: Any = None
    sequence: Sequence | None = None
    passing: bool = False

    @classmethod
    def of(cls, sequence: Sequence, rules: PrefixRules) -> Prefix:
        """What is computed of a sequence, as others may use it."""
        computed = sequence.computed
        length = rules.length(sequence, computed)
        keys = sequence.keys[:length]
        shortest, passing = rules.shortest(computed), sequence.scores is not None
        return cls(keys, kind_of(sequence), computed, length, shortest, passing=passing)

    @classmethod
    def running(cls, sequence: Sequence) -> Prefix:
        """What others may use of a prompt as it is being computed: see `update`."""
        keys = sequence.keys[: sequence.num_prompt]
        return cls(keys, kind_of(sequence), sequence=sequence)

    def update(self, rules: PrefixRules) -> None:
        """Look how far a running sequence is."""
        if self.sequence is not None:
            self.computed = self.sequence.computed
            self.length = rules.length(self.sequence, self.computed)
            self.shortest = rules.shortest(self.computed)

    @property
    def useful(self) -> bool:
        """Whether a prompt can begin with anything of it."""
        return self.length > 0 and self.allows(self.length)

    def allows(self, count: int) -> bool:
        """Whether it can be cut to so many tokens."""
        return count == self.computed or self.shortest <= count <= self.length

    def reusable(self, common: int, sequence: Sequence, rules: PrefixRules) -> int:
        """How many tokens a prompt need not compute that has `common` ones with these."""
        count = beginning(sequence, min(common, self.length), rules)
        return count if self.allows(count) else 0


def beginning(sequence: Sequence, most: int, rules: PrefixRules) -> int:
    """How much of a prompt can come from elsewhere: whole pieces and images, `most` tokens at most.

    Its last token is computed in any case: what follows is drawn from its logits.
    """
    most = min(most, len(sequence.tokens) - 1)
    return sequence.spans.cut(most - most % rules.piece(sequence))


def promised(leader: Sequence, common: int, sequence: Sequence, rules: PrefixRules) -> int:
    """How much a prompt can take from a running one that has still to compute it."""
    if leader.discarded:
        return 0
    most = min(common, leader.num_prompt)
    count = beginning(sequence, most, rules)
    return count if leader.computed < count and rules.length(leader, count) == count else 0
