from ollama_nb_server.engine.batch_planner import PREFILL_BESIDE_DECODE, BatchPlanner
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


def test_the_oldest_prompt_goes_first():
    assert planned([sequence(0, 400, 0), sequence(1, 400, 0)]) == [(0, 400, True), (1, 112, False)]


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
    assert tiled([sequence(0, 150, 64), sequence(1, 70, 0)]) == [[(0, 64)], [(1, 64)]]


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
