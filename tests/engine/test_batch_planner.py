import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ollama_nb_server.engine.batching.planner import (
    OTHERS_SHARE,
    PIECE,
    BatchPlanner,
    Item,
    counts_of,
    note_turns,
)
from ollama_nb_server.engine.batching.prefill_budget import LEAST
from ollama_nb_server.engine.messages import Priority
from ollama_nb_server.engine.sequence import Sequence


class NoSampler:
    def close(self) -> None: ...


def sequence(slot: int, num_tokens: int, computed: int) -> Sequence:
    made = Sequence(slot, [0] * num_tokens, num_tokens, 4096, -1, None, NoSampler(), slot, computed)
    made.began_ns = slot
    return made


def planned(sequences: list[Sequence], num_batch: int = 512) -> list[tuple[int, int, bool]]:
    """Slot, tokens and whether a token is drawn, of every piece, by slot."""
    batches = BatchPlanner(num_batch).plan(sequences)
    return sorted((i.sequence.slot, i.count, i.last) for b in batches for i in b)


def test_a_short_prompt_is_computed_whole_and_draws_a_token():
    assert planned([sequence(0, 100, 0)]) == [(0, 100, True)]


def test_a_long_prompt_is_computed_in_batches():
    assert planned([sequence(0, 1000, 0)]) == [(0, 512, False)]
    assert planned([sequence(0, 1000, 512)]) == [(0, 488, True)]


def test_every_decoding_sequence_gets_its_token_beside_a_long_prompt():
    decoding = [sequence(slot, 50, 49) for slot in (0, 1, 3)]

    items = planned([*decoding, sequence(2, 1000, 0)])

    assert items == [(0, 1, True), (1, 1, True), (2, LEAST, False), (3, 1, True)]


def test_the_shortest_prompt_goes_first_and_equal_ones_as_they_came():
    assert planned([sequence(0, 600, 0), sequence(1, 200, 0)]) == [(0, 56, False), (1, 200, True)]
    assert planned([sequence(0, 200, 0), sequence(1, 200, 0)]) == [(0, 200, True), (1, 56, False)]


def test_a_prompt_that_was_passed_over_has_its_turn_before_shorter_ones():
    first, second = sequence(0, 600, 0), sequence(1, 600, 0)
    first.passed_over = second.passed_over = OTHERS_SHARE * PIECE

    items = planned([first, second, sequence(2, 500, 0)])

    assert items == [(0, PIECE, False), (2, OTHERS_SHARE * PIECE, False)]


def test_only_prompt_tokens_of_others_count_as_passed_over():
    first, second, decoding = sequence(0, 600, 0), sequence(1, 30, 0), sequence(2, 50, 49)
    live = [first, second, decoding]

    note_turns([Item(second, 30), Item(decoding, 1)], live)
    assert [s.passed_over for s in live] == [30, 0, 0]

    note_turns([Item(first, 8), Item(second, 2)], live)
    assert [s.passed_over for s in live] == [30 + 2 - OTHERS_SHARE * 8, 0, 0]


class Served:
    """A planner's steps over slots of prompts, without a model; every budget is in tokens."""

    def __init__(self, num_batch: int, reproducible: bool) -> None:
        self.planner, self.live, self.spent, self.arrived = BatchPlanner(num_batch), [], 0, 0
        self.reproducible = reproducible

    def admit(self, num_tokens: int) -> Sequence:
        made = sequence(self.arrived, num_tokens, 0)
        made.reproducible = self.reproducible
        self.arrived += 1
        self.live.append(made)
        return made

    def step(self) -> list[Item]:
        """Compute a step; a prompt that is done leaves."""
        batches = self.planner.plan(self.live)
        for items in batches:
            note_turns(items, self.live)
            for item in items:
                self.spent += item.count if item.sequence.prefilling else 0
                item.sequence.computed += item.count
        self.live = [s for s in self.live if s.waiting]
        return [item for batch in batches for item in batch]


SHORT = st.integers(2, 40)
LONG = st.integers(300, 2000)
KINDS = st.tuples(st.sampled_from([512, 64]), st.booleans())  # num_batch, reproducible


@settings(max_examples=40)
@given(KINDS, st.lists(LONG, min_size=1, max_size=6), SHORT, st.integers(0, 40))
def test_a_short_prompts_wait_does_not_depend_on_how_long_the_others_are(kind, longs, short, steps):
    served = Served(*kind)
    for length in longs:
        served.admit(length)
    for _ in range(steps):
        served.step()
    newcomer, before = served.admit(short), served.spent

    while newcomer.waiting:
        served.step()

    assert served.spent - before <= kind[0] + PIECE + short


@settings(max_examples=40)
@given(KINDS, st.lists(SHORT, min_size=5, max_size=5), LONG, st.integers(1, 14))
def test_a_long_prompt_gets_its_share_of_an_endless_stream_of_short_ones(kind, cycle, long, beside):
    served, lengths = Served(*kind), itertools.cycle(cycle)
    first = served.admit(long)

    while first.waiting:
        while len(served.live) < 1 + beside:
            served.admit(next(lengths))
        served.step()
        others = served.spent - first.computed
        assert others <= OTHERS_SHARE * (first.computed + PIECE) + kind[0]


@settings(max_examples=40)
@given(KINDS, st.lists(st.integers(2, 500), min_size=1, max_size=8), st.integers(1, 8))
def test_decoding_sequences_get_their_token_in_every_step(kind, prompts, number):
    served = Served(*kind)
    for length in prompts:
        served.admit(length)
    decoding = [sequence(100 + n, 50, 49) for n in range(number)]

    while served.live:
        served.live += decoding
        items = served.step()
        assert {item.sequence for item in items} >= set(decoding)
        assert sum(i.count for i in items if i.count > 1) <= LEAST
        for each in decoding:
            each.computed = 49
        served.live = [s for s in served.live if s not in decoding]


def test_no_batch_is_larger_than_the_context_allows():
    sequences = [sequence(slot, 300, 0) for slot in range(8)]
    sequences += [sequence(8 + slot, 9, 8) for slot in range(8)]

    assert {sum(count for _, count in batch) for batch in batches(sequences, 32)} == {8, 32}


def test_what_a_grammar_forced_is_decoded_with_everybodys_tokens():
    forced = sequence(1, 62, 49)
    forced.num_prompt = 40

    items = planned([sequence(0, 50, 49), forced, sequence(2, 1000, 0)])

    assert items == [(0, 1, True), (1, 13, True), (2, LEAST, False)]


def test_forced_tokens_wait_where_a_batch_has_no_room_for_them():
    live = [sequence(slot, 60, 50) for slot in range(4)]
    for one in live:
        one.num_prompt = 40

    items = planned(live, 16)

    assert [count for _, count, _ in items] == [10, 4, 1, 1]


def test_very_much_that_was_forced_is_computed_like_a_prompt():
    forced = sequence(0, 200, 49)
    forced.num_prompt = 40

    assert planned([forced, sequence(1, 50, 49)]) == [
        (0, LEAST, False),
        (1, 1, True),
    ]


def test_nothing_to_do_is_an_empty_plan():
    assert planned([]) == []


def test_a_sequence_whose_memory_was_lost_is_computed_again_as_a_prompt():
    lost = sequence(0, 60, 0)
    lost.num_prompt = 50

    assert planned([lost]) == [(0, 60, True)]


def test_prompts_are_a_batch_of_their_own():
    live = [sequence(0, 50, 49), sequence(1, 50, 49), sequence(2, 20, 0), sequence(3, 30, 0)]

    assert batches(live) == [[(0, 1), (1, 1)], [(2, 20), (3, 30)]]


def test_prompts_join_decoding_slots_that_do_not_follow_one_another():
    live = [sequence(0, 50, 49), sequence(1, 90, 0), sequence(2, 50, 49)]

    assert batches(live) == [[(0, 1), (1, LEAST), (2, 1)]]
    assert batches(live, num_batch=64) == [[(0, 1), (2, 1)], [(1, LEAST)]]


def test_persons_prompts_come_before_programs():
    program, person = sequence(0, 200, 0), sequence(1, 300, 0)
    program.priority = Priority.BATCH

    assert planned([program, person]) == [(1, 256, False)]


def test_a_programs_prompt_has_its_turns_among_persons():
    program, person = sequence(0, 200, 0), sequence(1, 300, 0)
    program.priority, program.passed_over = Priority.BATCH, OTHERS_SHARE * PIECE

    assert planned([program, person]) == [(0, PIECE, False), (1, OTHERS_SHARE * PIECE, False)]


def test_beside_programs_tokens_alone_a_prompt_takes_a_whole_batch():
    decoding, prompt = sequence(0, 50, 49), sequence(1, 900, 0)

    decoding.priority = Priority.BATCH
    assert planned([decoding, prompt]) == [(0, 1, True), (1, 512, False)]
    decoding.priority = Priority.INTERACTIVE
    assert planned([decoding, prompt]) == [(0, 1, True), (1, LEAST, False)]


def newcomer(slot: int, num_tokens: int) -> Sequence:
    made = sequence(slot, num_tokens, 0)
    made.newcomer = True
    return made


def test_a_newcomers_prompt_waits_for_nobodys_next_token_nor_for_others_prompts():
    live = [sequence(0, 50, 49), sequence(1, 20, 0), newcomer(2, 30), sequence(3, 50, 49)]

    assert batches(live) == [[(2, 30)]]
    live[2].newcomer = False
    assert batches(live) == [[(0, 1), (1, 20), (2, 30), (3, 1)]]


def test_newcomers_prompts_are_computed_together_as_far_as_a_step_has_room():
    live = [sequence(0, 50, 49), newcomer(1, 30), newcomer(2, 30), newcomer(3, 30)]

    assert batches(live) == [[(1, 30), (2, 30)]]


def test_others_get_their_tokens_in_every_other_step_however_many_newcomers_there_are():
    planner, stream = BatchPlanner(512), sequence(0, 50, 49)

    steps = [batches([stream, newcomer(n, 20)], planner=planner) for n in range(1, 7)]

    assert [[(0, 1)] in step for step in steps] == [False, True] * 3


def test_a_newcomers_long_prompt_comes_beside_others_tokens():
    assert batches([sequence(0, 50, 49), newcomer(1, 900)]) == [[(0, 1)], [(1, LEAST)]]


def test_a_newcomer_who_is_a_program_waits_for_others_tokens():
    program = newcomer(1, 30)
    program.priority = Priority.BATCH

    assert batches([sequence(0, 50, 49), program]) == [[(0, 1)], [(1, 30)]]


def test_a_persons_prompt_does_not_wait_for_programs_tokens():
    program, person = sequence(0, 50, 49), sequence(1, 30, 0)
    program.priority = Priority.BATCH

    assert batches([program, person]) == [[(1, 30)]]
    assert len(batches([program, sequence(2, 50, 49), person])[0]) == 3


def test_a_newcomer_who_answers_decodes_with_the_others():
    answering = newcomer(1, 30)
    answering.computed = 29

    assert batches([sequence(0, 50, 49), answering]) == [[(0, 1), (1, 1)]]


def test_a_reproducible_newcomers_prompt_is_cut_at_the_same_places():
    prompt, planner = promised(1, 150, 0), BatchPlanner(512, 3)
    prompt.newcomer = True
    for _ in range(8):
        planner.budget.note(1, 0, 0.25)
        planner.budget.note(1, 100, 0.25 + 0.5)

    assert batches([sequence(0, 50, 49), prompt], planner=planner) == [
        [(1, 64)],
        [(1, 64)],
        [(1, 22)],
    ]


def test_what_steps_have_taken_decides_how_much_prompt_the_next_one_takes():
    planner = BatchPlanner(512)
    live = [sequence(0, 50, 49), sequence(1, 900, 0), promised(2, 900, 0)]
    for planned_so_far in (LEAST, 192):
        items = [i for batch in planner.plan(live[:2]) for i in batch]
        assert [i.count for i in items] == [1, planned_so_far]
        for _ in range(8):
            planner.budget.note(1, 0, 0.25)
            planner.budget.note(1, 100, 0.25 + 0.5)

    assert batches(live[::2], planner=planner) == [[(0, 1)], [(2, 64)], [(2, 64)], [(2, 64)]]


def test_a_step_is_counted_by_decoding_sequences_and_tokens_of_prompts():
    live = [sequence(0, 50, 49), promised(1, 50, 49), sequence(2, 20, 0), promised(3, 30, 0)]

    assert counts_of(BatchPlanner(512).plan(live)) == (2, 50)


def promised(slot: int, num_tokens: int, computed: int, num_prompt: int = 0) -> Sequence:
    made = sequence(slot, num_tokens, computed)
    made.reproducible, made.num_prompt = True, num_prompt or num_tokens
    return made


def batches(sequences: list[Sequence], num_batch: int = 512, alike: int = 3, planner=None):
    planner = planner or BatchPlanner(num_batch, alike)
    return [[(i.sequence.slot, i.count) for i in b] for b in planner.plan(sequences)]


def test_a_reproducible_prompt_is_computed_in_batches_of_its_own():
    live = [promised(0, 20, 0), sequence(1, 30, 0), promised(2, 40, 0), sequence(3, 50, 0)]

    assert batches(live) == [[(1, 30), (3, 50)], [(0, 20)], [(2, 40)]]


@pytest.mark.parametrize("decode_s", [0.0, 0.25])
def test_a_reproducible_prompt_is_cut_at_the_same_places_whoever_else_is_there(decode_s):
    for others in ([], [sequence(1, 50, 49)], [sequence(1, 900, 0), promised(2, 300, 0)]):
        planner, prompt, pieces = BatchPlanner(512, 3), promised(0, 150, 0), []
        planner.budget.note(1, 0, decode_s)
        planner.budget.note(0, 100, 0.5)
        live = [prompt, *others]
        while prompt.waiting:
            for batch in planner.plan(live):
                pieces += [item.count for item in batch if item.sequence is prompt]
                assert prompt not in [item.sequence for item in batch] or len(batch) == 1
                note_turns(batch, live)
                for item in batch:
                    item.sequence.computed += item.count if item.sequence.prefilling else 0

        assert pieces == [64, 64, 22]


def test_what_begins_between_two_places_is_cut_at_the_next_one():
    assert batches([promised(0, 300, 100, num_prompt=90)])[:2] == [[(0, 28)], [(0, 64)]]
    assert batches([sequence(1, 50, 49), promised(0, 300, 100)]) == [[(1, 1)], [(0, 28)]]


def test_a_small_batch_is_the_distance_of_the_places():
    assert batches([promised(0, 300, 0)], num_batch=10) == [[(0, 10)]]


def test_few_reproducible_sequences_decode_together_and_the_others_beside_them():
    live = [promised(slot, 50, 49) for slot in range(4)] + [sequence(4, 50, 49)]

    assert batches(live) == [[(4, 1)], [(0, 1), (1, 1), (2, 1)], [(3, 1)]]
    assert batches(live, alike=1)[1:] == [[(slot, 1)] for slot in range(4)]
    assert batches(live, alike=0) == [[(slot, 1) for slot in range(5)]]


@pytest.mark.parametrize("alike", [0, 1, 3])
def test_what_a_grammar_forced_on_a_reproducible_sequence_is_a_batch_of_its_own(alike):
    live = [promised(0, 62, 49, num_prompt=40), sequence(1, 50, 49)]

    assert batches(live, alike=alike) == [[(1, 1)], [(0, 13)]]
