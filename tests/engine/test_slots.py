import random

from ollama_nb_server.engine.memory import Move, Slots
from ollama_nb_server.engine.sequence import Sequence


class NoSampler:
    def close(self) -> None: ...


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


def assert_sound(slots: Slots) -> None:
    places = [s.slot for s in slots.sequences]
    assert places == sorted(set(places))
    assert all(0 <= place < slots.size for place in places)
    assert slots.free == slots.size - len(places)


def test_sequences_get_the_lowest_places():
    slots = Slots(3)
    admitted = [sequence(id=n) for n in range(2)]

    for one in admitted:
        slots.admit(one)

    assert [s.slot for s in admitted] == [0, 1]
    assert slots.free == 1


def test_the_last_sequence_moves_into_a_hole():
    slots = Slots(4)
    first, second, third = admitted = [sequence(id=n) for n in range(3)]
    for one in admitted:
        slots.admit(one)

    slots.release(first)

    assert slots.close_holes() == [Move(2, 0)]
    assert (third.slot, second.slot) == (0, 1)


def test_places_are_dense_after_any_comings_and_goings():
    slots, chance = Slots(8), random.Random(1)

    for number in range(500):
        if slots.free and (chance.random() < 0.5 or slots.free == slots.size):
            slots.admit(sequence(id=number))
        else:
            slots.release(chance.choice(slots.sequences))
        before = {s.id: s.slot for s in slots.sequences}
        moves = slots.close_holes()

        assert_sound(slots)
        assert [s.slot for s in slots.sequences] == list(range(slots.size - slots.free))
        assert {m.source for m in moves} <= set(before.values())
        assert not {m.target for m in moves} & set(before.values())
