"""What the next step computes. A function of lengths, counts and times: no native calls, no clock.

Decoding sequences always get their token, and what a grammar forced behind it if it fits. Beside
their tokens a step takes only so much of prompts that nobody waits long for a token
(`prefill_budget`); beside programs' tokens alone, as much as there is room for. Persons' prompts
come before programs', then the shortest first, but a quarter goes to the one that came first, so
that neither a short one waits for a long one nor a long one for ever.

A prompt of somebody who has nothing else running does not wait for the others' next tokens: if it
fits into one step, that step is theirs alone, and the next one is the others'. That takes no longer
in all, since it would have a pass of its own beside them, too. The same goes for a person's where
only programs' answers are being written.

Prompts have batches of their own, shaped by how llama.cpp cuts a batch whose sequences have other
numbers of tokens (`shapes`); the last token or two of one may come with what others decode.
Only where decoding slots do not follow one another do prompts join them: a token of theirs closes
the gap, which would be a cut as well. Rows of an image are a batch of their own too, since
llama.cpp takes either tokens or embeddings. Those that see each other come at once, whatever the
step has room for.

What a reproducible sequence is computed with depends on itself alone: its prompt is cut at fixed
places into batches of its own, and it decodes beside so few others that rows are computed singly.
"""

from __future__ import annotations

from collections import abc
from dataclasses import dataclass
from itertools import pairwise

from ollama_nb_server.engine.batching.prefill_budget import LEAST, PrefillBudget
from ollama_nb_server.engine.batching.shapes import REST, levelled
from ollama_nb_server.engine.messages import Priority
from ollama_nb_server.engine.sequence import Sequence

CUT = 64  # a reproducible prompt is cut at multiples of it
PIECE = 64  # tokens that the first-come prompt gets when it is its turn
OTHERS_SHARE = 3  # tokens of prompt that others may get for each of the first-come one's
ALIKE = 16  # prompts whose lengths differ by less have their turns as they came, side by side


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

    `least` is the smallest part of a step that prompts get beside running streams, `alone` the
    largest without (0: a whole batch). Of reproducible sequences at most `alike` decode together
    (0: any number, with all others).
    """

    def __init__(self, num_batch: int, alike: int = 0, least: int = LEAST, alone: int = 0) -> None:
        self.num_batch, self.alike, self.alone = num_batch, alike, alone or num_batch
        self.budget = PrefillBudget(num_batch, least)
        self._others_turn = False  # the last step was newcomers' alone

    def plan(self, sequences: abc.Sequence[Sequence]) -> list[list[Item]]:
        """The batches of the next step, the items of each ordered by slot.

        A sequence may have several: the later ones continue what the earlier ones have computed.
        """
        decoding = [s for s in sequences if not s.prefilling]
        newcomers = self._newcomers(sequences, decoding)
        self._others_turn = bool(newcomers)
        if newcomers:
            shared, alone = self._shared_and_alone(newcomers)
            return [batch for batch in (_by_slot(shared), *alone) if batch]
        apart = [s for s in decoding if self._decodes_apart(s)]
        riding = [s for s in sequences if _rides(s)] if len(decoding) > len(apart) else []
        prompts = [s for s in sequences if s.prefilling and s not in riding]
        pieces = self._pieces(prompts, self._room(sequences))
        together = _tails([s for s in decoding if s not in apart], self.num_batch)
        together += [Item(sequence, 1) for sequence in riding]
        shared, alone = self._shared_and_alone(pieces)
        if _have_gaps(together) and _count((*together, *shared)) <= self.num_batch:
            together, shared = together + shared, []
        batches = (_by_slot(together), _by_slot(shared), *self._alike(apart), *alone)
        return [batch for batch in batches if batch]

    def _newcomers(
        self, sequences: abc.Sequence[Sequence], decoding: abc.Sequence[Sequence]
    ) -> list[Item]:
        """The prompts for which others' next tokens wait: never in two steps that follow."""
        new = [s for s in sequences if _is_new(s)]
        if self._others_turn or not (new and decoding):
            return []
        beside_programs = all(s.priority is Priority.BATCH for s in decoding)
        items, room = [], self._room(sequences)
        for sequence in sorted(new, key=_turn):
            is_person = sequence.priority is Priority.INTERACTIVE
            comes_first = is_person and (sequence.newcomer or beside_programs)
            if comes_first and sequence.waiting <= room:
                items.append(Item(sequence, sequence.waiting))
                room -= sequence.waiting
        return items

    def _shared_and_alone(self, pieces: abc.Sequence[Item]) -> tuple[list[Item], list[list[Item]]]:
        """What is computed together of prompts, and the batches of those that may not be."""
        apart = [item for item in pieces if _is_alone(item)]
        shared = _levelled(item for item in pieces if not _is_alone(item))
        return shared, [[part] for item in apart for part in self._cut(item)]

    def _room(self, sequences: abc.Sequence[Sequence]) -> int:
        """Tokens of prompt that the step may take in all."""
        decoding = [s for s in sequences if not s.prefilling]
        room = self.alone
        if any(s.priority is Priority.INTERACTIVE for s in decoding):
            room = self.budget.room(len(decoding))
        if len(sequences) - len(decoding) > 1:
            room = min(room, (1 + OTHERS_SHARE) * PIECE)
        return room

    def _decodes_apart(self, sequence: Sequence) -> bool:
        return sequence.reproducible and (self.alike > 0 or sequence.waiting > 1)

    def _alike(self, sequences: abc.Sequence[Sequence]) -> list[list[Item]]:
        """Reproducible ones that decode: single tokens in small batches, forced ones by itself."""
        forced = [s for s in sequences if s.waiting > 1]
        single = [Item(s, 1) for s in sequences if s.waiting == 1]
        size = self.alike or 1
        batches = [single[at : at + size] for at in range(0, len(single), size)]
        return batches + [[Item(s, min(s.waiting, self.num_batch))] for s in forced]

    def _pieces(self, prompts: abc.Sequence[Sequence], room: int) -> list[Item]:
        """The prompts' pieces, in the order of their turns; of each one at most."""
        first = min(prompts, key=_arrival, default=None)
        shares: dict[Sequence, int] = {}
        if first is not None and first.passed_over >= OTHERS_SHARE * PIECE:
            shares[first] = self._piece(first, min(PIECE, room))
            room -= shares[first]
        for sequence in sorted(prompts, key=_turn):
            held = shares.get(sequence, 0)
            count = self._piece(sequence, held + room)
            if shares and count < sequence.waiting <= PIECE and not sequence.reproducible:
                continue  # what is left of a short one would be a pass of its own
            shares[sequence] = count
            room -= count - held
        return [Item(sequence, count) for sequence, count in shares.items() if count]

    def _piece(self, sequence: Sequence, room: int) -> int:
        """How much of a prompt fits; a reproducible one ends at a place where it is cut."""
        if room <= 0:
            return 0
        image = sequence.spans.at(sequence.computed)
        if image is not None and image.at_once:
            return len(image.rows)
        count = min(sequence.num_alike, room)
        if sequence.reproducible and count < sequence.num_alike:
            count -= (sequence.computed + count) % self._distance
        return max(count, 0)

    @property
    def _distance(self) -> int:
        return min(CUT, self.num_batch)

    def _cut(self, item: Item) -> list[Item]:
        """A reproducible prompt's piece, cut at fixed places; another one as it is."""
        begin, end = item.sequence.computed, item.sequence.computed + item.count
        image = item.sequence.spans.at(begin)
        if not item.sequence.reproducible or (image is not None and image.at_once):
            return [item]
        cuts = range(begin - begin % self._distance + self._distance, end, self._distance)
        places = [begin, *cuts, end]
        return [Item(item.sequence, b - a) for a, b in pairwise(places)]


def counts_of(batches: abc.Iterable[abc.Iterable[Item]]) -> tuple[int, int]:
    """How many decoding sequences a step serves, and how many tokens of prompts.

    Ask before the step is computed: a prompt that is done decodes.
    """
    items = [item for batch in batches for item in batch]
    prompts = [item for item in items if item.sequence.prefilling]
    return len(items) - len(prompts), _count(prompts)


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


def _turn(sequence: Sequence) -> tuple[int, int, int]:
    return sequence.priority, sequence.waiting // ALIKE, sequence.began_ns


def _is_new(sequence: Sequence) -> bool:
    """Whether nothing has been drawn of it, and all that waits may come in one batch."""
    new = sequence.prefilling and not sequence.num_generated and sequence.scores is None
    return new and sequence.num_alike == sequence.waiting


def _rides(sequence: Sequence) -> bool:
    """Whether so little is left of a prompt that it comes token by token beside others'."""
    few = sequence.prefilling and sequence.waiting <= REST and sequence.scores is None
    return few and not (sequence.reproducible or sequence.spans)


def _levelled(items: abc.Iterable[Item]) -> list[Item]:
    return [Item(*piece) for piece in levelled((item.sequence, item.count) for item in items)]


def _is_alone(item: Item) -> bool:
    """Whether a prompt's piece may not be computed with others'."""
    sequence = item.sequence
    return sequence.reproducible or sequence.spans.at(sequence.computed) is not None


def _count(items: abc.Iterable[Item]) -> int:
    return sum(item.count for item in items)


def _by_slot(items: abc.Iterable[Item]) -> list[Item]:
    return sorted(items, key=lambda item: item.sequence.slot)


def _have_gaps(items: abc.Sequence[Item]) -> bool:
    """Whether the slots do not follow one another."""
    slots = [item.sequence.slot for item in items]
    return bool(slots) and max(slots) - min(slots) >= len(slots)


def _tails(decoding: abc.Sequence[Sequence], num_batch: int) -> list[Item]:
    """A token of each sequence, and more of those for which more waits, as far as there is room."""
    items, spare = [], num_batch - len(decoding)
    for sequence in decoding:
        more = min(sequence.waiting - 1, spare)
        spare -= more
        items.append(Item(sequence, 1 + more))
    return items
