"""Which sequences compute expected tokens in a step, and how many: where that pays, none elsewhere.

A draft's rows are computed in the batch of the token before them, so that several tokens of a
sequence may come of one step. What they cost is measured (`batching.step_times`), how often they
are right too (`prompt_lookup`, `record`). What a text repeats costs nothing to expect and is tried
first; behind that, a draft model if there is one. Decisions here are pure; drafts are held against
what is drawn in `model_runner`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from collections.abc import Sequence as Seq
from dataclasses import dataclass
from itertools import accumulate
from operator import mul
from typing import Protocol

from ollama_nb_server.engine.batching.step_times import StepTimes
from ollama_nb_server.engine.drafts.prompt_lookup import PromptLookup
from ollama_nb_server.engine.drafts.record import DraftRecord
from ollama_nb_server.engine.sequence import Sequence

LENGTHS = (1, 3, 7)  # of a draft: few, so that the time of each number of rows is soon known
MAX_ROWS = 32  # of a step with drafts: kernels and attention compute many rows in other ways
WORTH = 1.05  # tokens a second with a draft against those without, for it to be computed
PATIENCE = 64  # steps until what did not pay is tried again: times change with the context's length
NUM_DRAFT = 4  # tokens of a draft model's draft where nobody has said how many
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
    draft_s: float = 0.0  # that a draft model takes for it

    def with_draft(self, chances: Seq[float], token_s: float = 0.0) -> Load:
        """The same with a draft whose tokens are right with these chances, each after the other.

        Each takes the draft model `token_s`.
        """
        num_rows, num_tokens = len(chances), expected_tokens(chances)
        return Load(
            self.num_sequences,
            self.num_rows + num_rows,
            self.num_tokens + num_tokens,
            self.draft_s + token_s * num_rows,
        )


class Drafter(Protocol):
    """A draft model (natively: `draft_model.DraftModel`)."""

    token_s: float

    def keep_only(self, ids: Collection[int]) -> None:
        """Forget all other sequences."""

    def reads(self, id: int, tokens: Seq[int]) -> bool:
        """Read more of a sequence; whether it can draft for it now."""

    def draft(self, id: int, tokens: Seq[int], count: int) -> tuple[int, ...]:
        """What it would write next."""


def expected_tokens(chances: Seq[float]) -> float:
    """How many tokens of a draft come true on average: the first wrong one ends it."""
    return float(sum(accumulate(chances, mul)))


class Speculator:
    """Gives sequences their drafts before a step, and learns from what the step has taken.

    `num_exact` tokens of a sequence may be computed together without a change of any bit. A greedy
    one computes no more at once: its answer is the same as without drafts. That is left to a
    request that says itself how long its drafts may be.
    """

    def __init__(
        self,
        num_batch: int,
        *,
        can_forget: bool,
        num_exact: int = 1,
        drafter: Drafter | None = None,
    ) -> None:
        self.times: dict[int, StepTimes] = defaultdict(StepTimes)  # by the number of sequences
        self._max_rows = min(num_batch, MAX_ROWS) if can_forget else 0
        self._num_exact, self._drafter = num_exact, drafter
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
        if self._drafter:
            self._drafter.keep_only([sequence.id for sequence in sequences])
        if not self._max_rows or any(s.prefilling or s.reproducible for s in sequences):
            return
        num_rows = sum(sequence.waiting for sequence in sequences)
        load, self._num_waiting = Load(len(sequences), num_rows, float(len(sequences))), num_rows
        for sequence in sequences:
            room = self._room(sequence, load)
            if room >= LENGTHS[0] and may_draft(sequence):
                load = self._drafted(sequence, load, room)
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
        if sequence.num_draft >= 0:
            return min(room, sequence.num_draft)
        return min(room, self._num_exact - sequence.waiting) if sequence.greedy else room

    def _drafted(self, sequence: Sequence, load: Load, room: int) -> Load:
        """Give a sequence the draft that pays best, if one does; the step with it."""
        lookup = lookup_of(sequence)
        if lookup.expects:
            loads = {n: load.with_draft(lookup.chances(n)) for n in LENGTHS if n <= room}
            if length := self._best(load, loads):
                sequence.draft = tuple(lookup.draft(sequence.tokens, length))
                return loads[length]
        return self._written_ahead(sequence, load, room) if self._drafter else load

    def _written_ahead(self, sequence: Sequence, load: Load, room: int) -> Load:
        """The same with a draft of the draft model."""
        assert self._drafter
        record = record_of(sequence)
        most = min(room, NUM_DRAFT if sequence.num_draft < 0 else sequence.num_draft)
        token_s = self._drafter.token_s
        loads = {n: load.with_draft(record.chances(n), token_s) for n in LENGTHS if n <= most}
        length = self._best(load, loads)
        if not length or not self._drafter.reads(sequence.id, sequence.tokens):
            return load
        draft = self._drafter.draft(sequence.id, sequence.tokens, length)
        record.note(len(sequence.tokens), draft)
        sequence.draft = draft
        return load.with_draft(record.chances(len(draft)), token_s)

    def _best(self, load: Load, loads: Mapping[int, Load]) -> int:
        """The length of the draft to compute; 0: none."""
        gains = {n: with_it.num_tokens - load.num_tokens for n, with_it in loads.items()}
        likely = [n for n, gain in gains.items() if gain > BLIND * n]
        now = self._rate(load)
        unknown = [
            n for n in likely if self._rate(loads[n]) is None and self._may_pay(load, loads[n])
        ]
        if unknown or now is None:
            return unknown[0] if unknown and now else 0
        rates = {n: self._rate(with_it) or 0.0 for n, with_it in loads.items()}
        best = max(rates, key=rates.__getitem__, default=0)
        if best and rates[best] > WORTH * now:
            self._refused = 0
            return best
        return self._tried_again(likely)

    def _may_pay(self, load: Load, with_draft: Load) -> bool:
        """Whether a draft whose cost nobody knows is worth finding out.

        Beside others its rows are a pass of their own: that takes no less than the step of one
        sequence alone, and each more row no less than each other sequence does.
        """
        now_s = self.times[load.num_sequences].expected(load.num_rows) or 0.0
        least_s = now_s + with_draft.draft_s
        alone_s = self.times[1].expected(1)
        if alone_s and load.num_sequences > 1:
            row_s = max(now_s - alone_s, 0.0) / (load.num_sequences - 1)
            least_s += alone_s + (with_draft.num_rows - load.num_rows - 1) * row_s
        return with_draft.num_tokens * now_s > WORTH * load.num_tokens * least_s

    def _rate(self, load: Load) -> float | None:
        """Tokens a second; None where nobody knows yet."""
        seconds = self.times[load.num_sequences].expected(load.num_rows)
        return load.num_tokens / (seconds + load.draft_s) if seconds else None

    def _tried_again(self, likely: list[int]) -> int:
        self._refused += bool(likely)
        if self._refused < PATIENCE:
            return 0
        self._refused = 0
        return likely[-1]


def may_draft(sequence: Sequence) -> bool:
    """Whether tokens may be expected of a sequence.

    Not where probabilities are told with each token, nor where nothing is drawn, nor where the
    context has dropped tokens: what lies in the memory is no longer at the places of `tokens`.
    """
    told = sequence.pieces or sequence.scores is not None
    return not (sequence.waiting != 1 or told or sequence.discarded or sequence.spans)


def lookup_of(sequence: Sequence) -> PromptLookup:
    """What follows a sequence's repetitions."""
    if sequence.lookup is None:
        sequence.lookup = PromptLookup()
    sequence.lookup.follow(sequence.tokens)
    return sequence.lookup


def record_of(sequence: Sequence) -> DraftRecord:
    """How often a draft model has been right about a sequence."""
    if sequence.drafts is None:
        sequence.drafts = DraftRecord()
    sequence.drafts.follow(sequence.tokens)
    return sequence.drafts
