from ollama_nb_server.engine.policy import PREFILL_BESIDE_DECODE, plan
from ollama_nb_server.engine.sequence import Sequence


class NoSampler:
    def close(self) -> None: ...


def sequence(slot: int, num_tokens: int, computed: int) -> Sequence:
    made = Sequence(slot, [0] * num_tokens, num_tokens, 4096, -1, None, NoSampler(), slot, computed)
    made.began_ns = slot
    return made


def planned(sequences: list[Sequence], num_batch: int = 512) -> list[tuple[int, int, bool]]:
    return [(i.sequence.slot, i.count, i.last) for i in plan(sequences, num_batch)]


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


def test_nothing_to_do_is_an_empty_plan():
    assert planned([]) == []


def test_a_sequence_whose_memory_was_lost_is_computed_again_as_a_prompt():
    lost = sequence(0, 60, 0)
    lost.num_prompt = 50

    assert planned([lost]) == [(0, 60, True)]
