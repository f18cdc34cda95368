"""Which sequences compute expected tokens in a step, and how many: where that pays, none elsewhere.

A draft's rows are computed in the batch of the token before them, so that several tokens of a
sequence may come of one step. What they cost is measured (`step_times`), how often they are right
too (`prompt_lookup`). Decisions here are pure; drafts are held against what is drawn in
`model_runner`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence as Seq
from dataclasses import dataclass
from itertools import accumulate
from operator import mul

from ollama_nb_server.engine.prompt_lookup import PromptLookup
from ollama_nb_server.engine.sequence import Sequence
from ollama_nb_server.engine.step_times import StepTimes

LENGTHS = (1, 3, 7)  # of a draft: few, so that the time of each number of rows is soon known
MAX_ROWS = 32  # of a step with drafts: kernels and attention compute many rows in other ways
WORTH = 1.05  # tokens a second with a draft against those without, for it to be computed
PATIENCE = 64  # steps until what did not pay is tried again: times change with the context's length
BLIND = 0.5  # of a draft's tokens must be expected to come true while its cost is not known


@dataclass(frozen=True, slots=True)
class Load:
    """A step as it stands: its sequences and rows, and the tokens that are expected of it.

    llama.cpp computes sequences with unequal numbers of rows one after another, so that a draft
    costs the more the more others there are: times are held by the number of sequences.
    """

    num_sequences: int
    num_rows: int
    num_tokens: float

    def with_draft(self, chances: Seq[float]) -> Load:
        """The same with a draft whose tokens are right with these chances, each after the other."""
        num_rows = self.num_rows + len(chances)
        return Load(self.num_sequences, num_rows, self.num_tokens + expected_tokens(chances))


def expected_tokens(chances: Seq[float]) -> float:
    """How many tokens of a draft come true on average: the first wrong one ends it."""
    return float(sum(accumulate(chances, mul)))


class Speculator:
    """Gives sequences their drafts before a step, and learns from what the step has taken.

    `num_exact` tokens of a sequence may be computed together without a change of any bit. A greedy
    one computes no more at once: its answer is the same as without drafts.
    """

    def __init__(self, num_batch: int, *, can_forget: bool, num_exact: int = 1) -> None:
        self.times: dict[int, StepTimes] = defaultdict(StepTimes)  # by the number of sequences
        self._max_rows = min(num_batch, MAX_ROWS) if can_forget else 0
        self._num_exact = num_exact
        self._refused = 0  # steps in a row in which a likely draft was too dear
        self._num_waiting = 0
        self._load: Load | None = None  # the step to come, where nothing but decoding is in it

    def propose(self, sequences: Seq[Sequence]) -> None:
        """Set the drafts of the next step; all others' are empty.

        Nobody drafts beside a prompt, which a step is filled up with, nor beside those whose answer
        must not depend on who else is computed.
        """
        self._load = None
        for sequence in sequences:
            sequence.draft = ()
        if not self._max_rows or any(s.prefilling or s.reproducible for s in sequences):
            return
        num_rows = sum(sequence.waiting for sequence in sequences)
        load, self._num_waiting = Load(len(sequences), num_rows, float(len(sequences))), num_rows
        for sequence in sequences:
            room = self._room(sequence, load)
            if room >= LENGTHS[0] and (lookup := lookup_of(sequence)) and lookup.expects:
                load = self._drafted(sequence, lookup, load, room)
        self._load = load

    @property
    def drafts(self) -> bool:
        """Whether the step has a draft in it."""
        return self._load is not None and self._load.num_rows > self._num_waiting

    def took(self, seconds: float) -> None:
        """Learn from the step for which drafts were proposed last, if it was computed whole."""
        if self._load:
            self.times[self._load.num_sequences].took(self._load.num_rows, seconds)

    def _room(self, sequence: Sequence, load: Load) -> int:
        """How long a sequence's draft may be."""
        room = min(self._max_rows - load.num_rows, sequence.room_for_draft)
        return min(room, self._num_exact - sequence.waiting) if sequence.greedy else room

    def _drafted(self, sequence: Sequence, lookup: PromptLookup, load: Load, room: int) -> Load:
        """Give a sequence the draft that pays best, if one does; the step with it."""
        lengths = [length for length in LENGTHS if length <= room]
        loads = {n: load.with_draft(lookup.chances(n)) for n in lengths}
        length = self._best(load, loads)
        sequence.draft = tuple(lookup.draft(sequence.tokens, length))
        return loads[length] if length else load

    def _best(self, load: Load, loads: dict[int, Load]) -> int:
        """The length of the draft to compute; 0: none."""
        gains = {n: with_it.num_tokens - load.num_tokens for n, with_it in loads.items()}
        likely = [n for n, gain in gains.items() if gain > BLIND * n]
        unknown = [n for n in likely if self._rate(loads[n]) is None]
        now = self._rate(load)
        if unknown or now is None:
            return unknown[0] if unknown and now else 0
        rates = {n: self._rate(with_it) or 0.0 for n, with_it in loads.items()}
        best = max(rates, key=rates.__getitem__, default=0)
        if best and rates[best] > WORTH * now:
            self._refused = 0
            return best
        return self._tried_again(likely)

    def _rate(self, load: Load) -> float | None:
        """Tokens a second; None where nobody knows yet."""
        seconds = self.times[load.num_sequences].expected(load.num_rows)
        return load.num_tokens / seconds if seconds else None

    def _tried_again(self, likely: list[int]) -> int:
        self._refused += bool(likely)
        if self._refused < PATIENCE:
            return 0
        self._refused = 0
        return likely[-1]


def lookup_of(sequence: Sequence) -> PromptLookup | None:
    """What follows a sequence; None if none of its tokens may be drafted.

    Not where probabilities are told with each token, nor where nothing is drawn, nor where the
    context has dropped tokens: what lies in the memory is no longer at the places of `tokens`.
    """
    told = sequence.pieces or sequence.scores is not None
    if sequence.waiting != 1 or told or sequence.discarded or sequence.spans:
        return None
    if sequence.lookup is None:
        sequence.lookup = PromptLookup()
    sequence.lookup.follow(sequence.tokens)
    return sequence.lookup
