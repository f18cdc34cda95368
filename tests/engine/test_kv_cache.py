import random

from ollama_nb_server.engine.kv_cache import KVCache
from ollama_nb_server.engine.sequence import Sequence


class NoSampler:
    def close(self) -> None: ...


class Cells:
    """Which sequence's tokens lie in which slot, as a context would hold them."""

    def __init__(self, *, keeps_past: bool = True) -> None:
        self.held: dict[int, object] = {}
        self._keeps_past = keeps_past

    def forget(self, seq: int, from_pos: int = 0) -> bool:
        if from_pos and not self._keeps_past:
            return False
        if not from_pos:
            self.held.pop(seq, None)
        return True

    def drop(self, seq: int, begin: int, end: int) -> None: ...

    def move(self, source: int, target: int) -> None:
        assert target not in self.held
        self.held[target] = self.held.pop(source)


def sequence(num_prompt: int = 8, computed: int = 0, *, id: int = 1) -> Sequence:
    return Sequence(
        id=id,
        tokens=[0] * num_prompt,
        num_prompt=num_prompt,
        num_ctx=64,
        num_predict=-1,
        text=None,
        sampler=NoSampler(),
        computed=computed,
    )


def filled(num_slots: int, num_sequences: int, **traits: bool) -> tuple[KVCache, Cells]:
    cells = Cells(**traits)
    cache = KVCache(cells, num_slots)
    for number in range(num_sequences):
        admit(cache, cells, sequence(id=number))
    return cache, cells


def admit(cache: KVCache, cells: Cells, one: Sequence) -> None:
    cache.admit(one)
    cells.held[one.slot] = one


def assert_sound(cache: KVCache, cells: Cells) -> None:
    slots = [s.slot for s in cache.sequences]
    assert slots == list(range(cache.num_slots - cache.num_free))
    assert cells.held == {s.slot: s for s in cache.sequences}


def test_sequences_get_the_lowest_slots():
    cache, _ = filled(3, 2)

    assert [s.slot for s in cache.sequences] == [0, 1]
    assert cache.num_free == 1


def test_the_last_sequence_moves_into_a_hole_with_its_tokens():
    cache, cells = filled(4, 3)
    first, second, third = cache.sequences

    cache.release(first)
    cache.close_holes()

    assert (third.slot, second.slot) == (0, 1)
    assert cells.held == {0: third, 1: second}


def test_slots_are_dense_and_hold_their_own_tokens_after_any_comings_and_goings():
    (cache, cells), chance = filled(8, 0), random.Random(1)

    for number in range(500):
        if cache.num_free and (chance.random() < 0.5 or not cache.sequences):
            admit(cache, cells, sequence(id=number))
        else:
            cache.release(chance.choice(cache.sequences))
        cache.close_holes()

        assert_sound(cache, cells)


def test_an_aborted_shift_is_computed_from_the_beginning():
    cache, cells = filled(2, 1)
    (one,) = cache.sequences
    one.computed, one.unsettled = 8, True

    cache.settle(computed=False)

    assert (one.computed, one.unsettled, cells.held) == (0, False, {})


def test_a_computed_shift_stays():
    cache, cells = filled(2, 1)
    (one,) = cache.sequences
    one.computed, one.unsettled = 8, True

    cache.settle(computed=True)

    assert (one.computed, one.unsettled, cells.held) == (8, False, {0: one})


def test_a_memory_without_a_past_begins_anew_after_an_abort():
    cache, cells = filled(2, 1, keeps_past=False)
    (one,) = cache.sequences
    one.computed = 5

    cache.roll_back(one)

    assert (one.computed, cells.held) == (0, {})
