import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ollama_nb_server.engine.batch_planner import (
    OTHERS_SHARE,
    PIECE,
    PREFILL_BESIDE_DECODE,
    BatchPlanner,
    Item,
    note_turns,
)
from ollama_nb_server.engine.sequence import Sequence


class NoSampler:
    def close(self) -> None: ...


def sequence(slot: int, num_tokens: int, computed: int) -> Sequence:
    made = Sequence(slot, [0] * num_tokens, num_tokens, 4096, -1, None, NoSampler(), slot, computed)
    made.began_ns = slot
    return made


def planned(sequences: list[Sequence], num_batch: int = 512) -> list[tuple[int, int, bool]]:
    return [
        (i.sequence.slot, i.count, i.last)
        for b in BatchPlanner(num_batch).plan(sequences)
        for i in b
    ]


def tiled(sequences: list[Sequence], num_batch: int = 512) -> list[list[tuple[int, int]]]:
    return [
        [(i.sequence.slot, i.count) for i in b] for b in BatchPlanner(num_batch, 64).plan(sequences)
    ]


def test_a_short_prompt_is_computed_whole_and_draws_a_token():
    assert planned([sequence(0, 100, 0)]) == [(0, 100, True)]


def test_a_long_prompt_is_computed_in_batches():
    assert planned([sequence(0, 1000, 0)]) == [(0, 512, False)]
    assert planned([sequence(0, 1000, 512)]) == [(0, 488, True)]


def test_every_decoding_sequence_gets_its_token_beside_a_long_prompt():
    decoding = [sequence(slot, 50, 49) for slot in (0, 1, 3)]

    items = planned([*decoding, sequence(2, 1000, 0)])

    assert items == [(0, 1, True), (1, 1, True), (2, PREFILL_BESIDE_DECODE, False), (3, 1, True)]


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

    def __init__(self, tile: int, num_batch: int) -> None:
        self.planner, self.live, self.spent, self.arrived = BatchPlanner(num_batch, tile), [], 0, 0

    def admit(self, num_tokens: int) -> Sequence:
        made = sequence(self.arrived, num_tokens, 0)
        self.arrived += 1
        self.live.append(made)
        return made

    def step(self) -> list[Item]:
        """Compute a step; a prompt that is done leaves."""
        items = [item for batch in self.planner.plan(self.live) for item in batch]
        note_turns(items, self.live)
        for item in items:
            self.spent += item.count if item.sequence.prefilling else 0
            item.sequence.computed += item.count
        self.live = [s for s in self.live if s.waiting]
        return items


SHORT = st.integers(2, 40)
LONG = st.integers(300, 2000)
PLANNERS = st.sampled_from([(0, 512), (0, 64), (64, 512), (64, 64)])  # tile, num_batch


@settings(max_examples=40)
@given(PLANNERS, st.lists(LONG, min_size=1, max_size=6), SHORT, st.integers(0, 40))
def test_a_short_prompts_wait_does_not_depend_on_how_long_the_others_are(kind, longs, short, steps):
    served = Served(*kind)
    for length in longs:
        served.admit(length)
    for _ in range(steps):
        served.step()
    newcomer, before = served.admit(short), served.spent

    while newcomer.waiting:
        served.step()

    assert served.spent - before <= kind[1] + PIECE + short


@settings(max_examples=40)
@given(PLANNERS, st.lists(SHORT, min_size=5, max_size=5), LONG, st.integers(1, 14))
def test_a_long_prompt_gets_its_share_of_an_endless_stream_of_short_ones(kind, cycle, long, beside):
    served, lengths = Served(*kind), itertools.cycle(cycle)
    first = served.admit(long)

    while first.waiting:
        while len(served.live) < 1 + beside:
            served.admit(next(lengths))
        served.step()
        others = served.spent - first.computed
        assert others <= OTHERS_SHARE * (first.computed + PIECE) + kind[1]


@settings(max_examples=40)
@given(PLANNERS, st.lists(st.integers(2, 500), min_size=1, max_size=8), st.integers(1, 8))
def test_decoding_sequences_get_their_token_in_every_step(kind, prompts, number):
    served = Served(*kind)
    for length in prompts:
        served.admit(length)
    decoding = [sequence(100 + n, 50, 49) for n in range(number)]

    while served.live:
        served.live += decoding
        items = served.step()
        assert {item.sequence for item in items} >= set(decoding)
        assert sum(i.count for i in items if i.count > 1) <= PREFILL_BESIDE_DECODE
        for each in decoding:
            each.computed = 49
        served.live = [s for s in served.live if s not in decoding]


def test_no_batch_is_larger_than_the_context_allows():
    sequences = [sequence(slot, 300, 0) for slot in range(8)]
    sequences += [sequence(8 + slot, 9, 8) for slot in range(8)]

    assert sum(count for _, count, _ in planned(sequences, 32)) <= 32


def test_what_a_grammar_forced_is_decoded_with_everybodys_tokens():
    forced = sequence(1, 62, 49)
    forced.num_prompt = 40

    items = planned([sequence(0, 50, 49), forced, sequence(2, 1000, 0)])

    assert items == [(0, 1, True), (1, 13, True), (2, PREFILL_BESIDE_DECODE, False)]


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
        (0, PREFILL_BESIDE_DECODE, False),
        (1, 1, True),
    ]


def test_nothing_to_do_is_an_empty_plan():
    assert planned([]) == []


def test_a_sequence_whose_memory_was_lost_is_computed_again_as_a_prompt():
    lost = sequence(0, 60, 0)
    lost.num_prompt = 50

    assert planned([lost]) == [(0, 60, True)]


def test_whole_tiles_are_batches_of_their_own():
    assert tiled([sequence(0, 150, 0)]) == [[(0, 64)]]
    assert tiled([sequence(0, 150, 64), sequence(1, 70, 0)]) == [[(1, 64)], [(0, 64)]]


def test_what_is_less_than_a_tile_is_computed_with_the_others():
    decoding, prompt = sequence(0, 50, 49), sequence(1, 150, 128)

    assert tiled([decoding, prompt, sequence(2, 9, 0)]) == [[(0, 1), (1, 22), (2, 9)]]


def test_a_tile_is_never_cut_for_want_of_room():
    decoding = [sequence(slot, 50, 49) for slot in range(16)]

    assert tiled([*decoding, sequence(16, 200, 0)], 64)[1:] == [[(16, 64)]]
    assert tiled([*decoding, sequence(16, 20, 0), sequence(17, 200, 0)], 64) == [
        [*((slot, 1) for slot in range(16)), (16, 20)]
    ]
    assert tiled([*decoding, sequence(16, 60, 0)], 64)[1:] == [[(16, 60)]]


def promised(slot: int, num_tokens: int, computed: int, num_prompt: int = 0) -> Sequence:
    made = sequence(slot, num_tokens, computed)
    made.reproducible, made.num_prompt = True, num_prompt or num_tokens
    return made


def batches(sequences: list[Sequence], num_batch: int = 512, tile: int = 0, alike: int = 3):
    planner = BatchPlanner(num_batch, tile, alike)
    return [[(i.sequence.slot, i.count) for i in b] for b in planner.plan(sequences)]


def test_a_reproducible_prompt_is_computed_in_batches_of_its_own():
    live = [promised(0, 20, 0), sequence(1, 30, 0), promised(2, 40, 0), sequence(3, 50, 0)]

    assert batches(live) == [[(1, 30), (3, 50)], [(0, 20)], [(2, 40)]]


@pytest.mark.parametrize("tile", [0, 64])
def test_a_reproducible_prompt_is_cut_at_the_same_places_whoever_else_is_there(tile):
    for others in ([], [sequence(1, 50, 49)], [sequence(1, 900, 0), promised(2, 300, 0)]):
        prompt, pieces = promised(0, 150, 0), []
        live = [prompt, *others]
        while prompt.waiting:
            found = [b for b in BatchPlanner(512, tile, 3).plan(live) for i in b if b[0] == i]
            for (item,) in (b for b in found if b[0].sequence is prompt):
                pieces.append(item.count)
            note_turns([i for b in found for i in b], live)
            for item in (i for b in found for i in b):
                item.sequence.computed += item.count if item.sequence.prefilling else 0

        assert pieces == [64, 64, 22]


def test_what_begins_between_two_places_is_cut_at_the_next_one():
    assert batches([promised(0, 300, 100, num_prompt=90)]) == [[(0, 28)]]


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
