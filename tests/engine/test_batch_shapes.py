"""Batches of prompts as llama.cpp computes them: neighbours of one length in one pass."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_nb_server.engine.batching.planner import BatchPlanner
from ollama_nb_server.engine.batching.shapes import REST, UNEVEN, again, levelled
from ollama_nb_server.engine.sequence import Sequence
from serving import Serving

COMMON = (
    "Once upon a time there was a little cat that lived in a house by the sea, and every day " * 2
)


class NoSampler:
    def close(self) -> None: ...


def sequence(slot: int, waiting: int, computed: int = 100, *, scores: object = None) -> Sequence:
    count = computed + waiting
    made = Sequence(slot, [0] * count, count, 4096, 9, None, NoSampler(), slot, computed)
    made.scores = scores
    return made


def pieces(counts: dict[int, int], **more: object) -> list[tuple[Sequence, int]]:
    return [(sequence(slot, count, **more), count) for slot, count in counts.items()]


def told(found: list[tuple[Sequence, int]]) -> dict[int, int]:
    return {sequence.slot: count for sequence, count in found}


ROWS = st.dictionaries(st.integers(0, 15), st.integers(1, 90), min_size=1)


@given(ROWS)
def test_nothing_but_a_token_or_two_is_left_of_a_piece(counts):
    found = told(levelled(pieces(counts)))

    assert found.keys() == counts.keys()
    assert all(0 < found[slot] <= count <= found[slot] + REST for slot, count in counts.items())


def test_neighbours_that_are_nearly_as_long_get_one_length():
    assert told(levelled(pieces({0: 14, 1: 13, 2: 15, 3: 16}))) == {0: 13, 1: 13, 2: 13, 3: 16}
    assert told(levelled(pieces({0: 14, 2: 13, 3: 15}))) == {0: 14, 2: 13, 3: 13}
    assert told(levelled(pieces({0: 3, 1: 1, 2: 2}))) == {0: 3, 1: 1, 2: 2}


def test_what_is_only_scored_stays_whole():
    assert told(levelled(pieces({0: 14, 1: 13}, scores=object()))) == {0: 14, 1: 13}


@given(st.lists(st.integers(1, 90), min_size=1, max_size=16), st.integers(0, 40))
def test_few_known_tokens_are_computed_again_and_never_all(counts, computed):
    sequences = [sequence(slot, count, computed) for slot, count in enumerate(counts)]

    for each, count in again(sequences).items():
        assert 0 < count <= UNEVEN
        assert count < computed
        assert count <= max(counts) // 4
        assert each.waiting + count in counts


def test_prompts_are_made_as_long_as_the_longest_that_is_near():
    sequences = [sequence(slot, count) for slot, count in enumerate((18, 22, 20, 60, 9))]

    assert {each.slot: count for each, count in again(sequences).items()} == {0: 4, 2: 2}


def planned(*sequences: Sequence) -> list[dict[int, int]]:
    return [
        {item.sequence.slot: item.count for item in batch}
        for batch in BatchPlanner(512).plan(sequences)
    ]


def test_what_is_left_of_a_prompt_comes_beside_what_others_decode():
    decoding, nearly = sequence(0, 1, 49), sequence(1, 2, 48)
    decoding.num_prompt = nearly.num_prompt = 50

    assert planned(decoding, nearly) == [{0: 1, 1: 1}]
    assert planned(nearly) == [{1: 2}]


def test_prompts_of_neighbours_are_cut_to_one_length():
    assert planned(*(sequence(slot, count) for slot, count in enumerate((14, 13, 15)))) == [
        {0: 13, 1: 13, 2: 13}
    ]


def test_a_short_prompt_that_has_no_room_left_waits_whole():
    found = planned(*(sequence(slot, 50) for slot in range(6)))

    assert found == [dict.fromkeys(range(5), 50)]


def test_neighbours_are_chosen_of_prompts_that_are_nearly_as_long():
    lengths = {0: 31, 1: 20, 2: 30, 3: 29, 4: 20, 5: 31, 6: 20, 7: 31, 8: 30, 9: 31, 10: 20}
    sequences = [sequence(slot, count, 0) for slot, count in lengths.items()]
    for each in sequences:
        each.began_ns = 7

    slots = {slot for batch in planned(*sequences) for slot in batch}

    assert slots == set(range(max(slots) + 1))


@pytest.fixture(scope="module")
def serving(demo_gguf):
    serving = Serving(demo_gguf, num_ctx=1024)
    yield serving
    serving.close()


def num_nodes(serving: Serving, *prompts: str) -> int:
    before = serving.nodes
    for prompt in prompts:
        serving.ask(prompt, num_predict=0)
    serving.run()
    return serving.nodes - before


def test_prompts_with_a_known_beginning_are_computed_in_one_pass(serving):
    """Unequal ends took a pass for each length, and one more for each gap."""
    num_nodes(serving, COMMON + "and it was happy.")
    one = num_nodes(serving, COMMON + "but one day it ran away from the house, far away")

    four = num_nodes(
        serving,
        COMMON + "with a big red dog and a bird in a tree",
        COMMON + "until a boy came with a small blue boat",
        COMMON + "which was old and had a very long tail",
        COMMON + "since it liked to see big fish",
    )

    assert four == one


def test_scores_of_prompts_that_were_made_even_are_those_of_each_alone(serving):
    prompts = [COMMON + end for end in ("with a dog", "and a bird in a tall tree", "until a boy")]
    alone = [serving.scores([prompt], [" happy", " sad"])[0] for prompt in prompts]

    together = serving.scores(prompts, [" happy", " sad"])

    for one, other in zip(alone, together, strict=True):
        assert one == [pytest.approx(row, abs=0.02) for row in other]
