import random

import pytest
from ollama_nb_server.engine.prefixes.kv_cache import KVCache
from ollama_nb_server.engine.prefixes.prefix import PrefixRules
from ollama_nb_server.engine.sequence import Sequence
from token_memory import BYTES_A_TOKEN, TokenMemory, assert_contents, assert_sound

MUCH = 1 << 20  # bytes
TEXT = [*range(100, 200)]


class NoSampler:
    def close(self) -> None: ...


def sequence(tokens: list[int] | None = None, *, id: int = 1, **facts: object) -> Sequence:
    tokens = list(tokens or range(8))
    return Sequence(
        id=id,
        tokens=tokens,
        num_prompt=len(tokens),
        num_ctx=256,
        num_predict=-1,
        text=None,
        sampler=NoSampler(),
        **facts,
    )


class Slots:
    """A cache over a memory of tokens."""

    def __init__(
        self, num_slots: int, *, max_bytes: int = MUCH, rules: PrefixRules | None = None
    ) -> None:
        rules = rules or PrefixRules()
        self.memory = TokenMemory(num_slots, rules.whole, rules.window)
        self.cache = KVCache(self.memory, num_slots, rules, max_bytes)

    def acquire(self, tokens: list[int] | None = None, **facts: object) -> Sequence:
        one = sequence(tokens, **facts)
        self.cache.acquire(one)
        return one

    def compute(self, one: Sequence, count: int | None = None) -> Sequence:
        """So many of its tokens, or all."""
        end = len(one.tokens) if count is None else one.computed + count
        self.memory.compute(one.slot, one.computed, one.tokens[one.computed : end])
        one.computed = end
        self.cache.settle(computed=True)
        return one

    def computed(self, tokens: list[int] | None = None, **facts: object) -> Sequence:
        return self.compute(self.acquire(tokens, **facts))

    def over(self, tokens: list[int], **facts: object) -> Sequence:
        """A sequence that has come and gone."""
        one = self.computed(tokens, **facts)
        self.release(one)
        return one

    def release(self, one: Sequence) -> None:
        self.cache.release(one)
        self.cache.close_holes()
        assert_sound(self.cache)
        assert_contents(self.cache, self.memory)

    def cached(self, tokens: list[int], **facts: object) -> int:
        """How many tokens of a prompt need not be computed; it is over at once."""
        one = self.acquire(tokens, **facts)
        assert_contents(self.cache, self.memory)
        self.release(one)
        return one.num_cached


# --- slots ----------------------------------------------------------------------------------------


def test_sequences_get_the_lowest_slots():
    slots = Slots(3)

    assert [slots.acquire().slot, slots.acquire().slot] == [0, 1]
    assert slots.cache.num_free == 1


@pytest.mark.parametrize("max_bytes", [0, MUCH])
def test_the_last_sequence_moves_into_a_hole_with_its_tokens(max_bytes):
    slots = Slots(4, max_bytes=max_bytes)
    first, second, third = (slots.computed(TEXT[n:], id=n) for n in range(3))

    slots.release(first)

    assert (third.slot, second.slot) == (0, 1)


@pytest.mark.parametrize("max_bytes", [0, MUCH])
def test_slots_are_dense_after_any_comings_and_goings(max_bytes):
    slots, chance = Slots(8, max_bytes=max_bytes), random.Random(1)

    for number in range(300):
        if slots.cache.num_free and (chance.random() < 0.5 or not slots.cache.sequences):
            slots.computed([chance.randrange(3) for _ in range(40)], id=number)
        else:
            slots.release(chance.choice(slots.cache.sequences))

        assert [s.slot for s in slots.cache.sequences] == list(range(8 - slots.cache.num_free))


def test_an_aborted_shift_is_computed_from_the_beginning():
    slots = Slots(2)
    one = slots.computed()
    one.unsettled = True

    slots.cache.settle(computed=False)

    assert (one.computed, one.unsettled, slots.memory.length(0)) == (0, False, 0)


def test_a_computed_shift_stays():
    slots = Slots(2)
    one = slots.computed()
    one.unsettled = True

    slots.cache.settle(computed=True)

    assert (one.computed, one.unsettled, slots.memory.length(0)) == (8, False, 8)


def test_a_memory_without_a_past_begins_anew_after_an_abort():
    slots = Slots(2, rules=PrefixRules(whole=True))
    one = slots.computed()
    one.computed = 5

    slots.cache.roll_back(one)

    assert (one.computed, slots.memory.length(0)) == (0, 0)


# --- prefixes -------------------------------------------------------------------------------------


def test_a_prompt_goes_on_where_a_sequence_ended():
    slots = Slots(2)
    slots.over(TEXT[:50])

    assert slots.cached(TEXT) == 50


def test_the_last_token_of_a_prompt_is_always_computed():
    slots = Slots(2)
    slots.over(TEXT)

    assert slots.cached(TEXT) == 99


def test_what_differs_is_computed():
    slots = Slots(2)
    slots.over(TEXT)

    assert slots.cached([*TEXT[:40], 0, *TEXT[41:]]) == 40


def test_a_running_sequence_lends_what_it_has_computed_so_far():
    slots = Slots(2)
    slots.compute(slots.acquire(TEXT), 70)

    assert slots.cached([*TEXT[:90], 0]) == 70


def test_several_who_begin_alike_at_once_get_one_copy(monkeypatch):
    slots = Slots(4)
    slots.compute(slots.acquire(TEXT), 70)
    copies, save = [], slots.memory.save
    monkeypatch.setattr(slots.memory, "save", lambda slot: copies.append(slot) or save(slot))

    cached = [slots.acquire([*TEXT, n]).num_cached for n in range(3)]

    assert (cached, copies) == ([70] * 3, [0])


def test_a_needed_slot_s_prefix_is_copied_to_the_host_and_back():
    slots = Slots(1)
    slots.over(TEXT)
    slots.over([*range(50)])

    assert slots.cached([*TEXT, 0]) == 100
    assert slots.cached([*range(51)]) == 50


def test_what_was_used_longest_ago_leaves_the_host():
    slots = Slots(1, max_bytes=250 * BYTES_A_TOKEN)
    texts = [[n, *TEXT[1:]] for n in range(4)]
    for text in texts[:3]:
        slots.over(text)
    slots.cached([*texts[0], 0])  # the third is on the host now, and the first in the slot
    slots.over(texts[3])

    assert len(slots.cache.prefixes.store) == 2
    assert slots.cached([*texts[1], 0]) == 0


def test_a_prefix_that_is_too_large_for_the_host_is_lost():
    slots = Slots(1, max_bytes=50 * BYTES_A_TOKEN)
    slots.over(TEXT)
    slots.over([*range(40)])

    assert slots.cached([*TEXT, 0]) == 0


def test_where_the_host_has_no_memory_the_prompt_is_computed():
    slots = Slots(2)
    slots.computed(TEXT)
    slots.memory.has_room = False

    assert slots.cached([*TEXT, 0]) == 0


def test_what_a_prompt_cuts_off_is_not_lost():
    slots = Slots(1)
    slots.over(TEXT)
    slots.over([*TEXT[:50], 0])

    assert slots.cached([*TEXT, 0]) == 100


def test_a_turn_of_a_conversation_takes_the_place_of_the_one_before():
    slots = Slots(4)
    for end in range(40, 90, 10):
        slots.over(TEXT[:end])

    assert len(slots.cache.prefixes) == 1


def test_equal_ones_are_kept_once():
    slots = Slots(4)
    both = [slots.computed(TEXT), slots.computed(TEXT)]
    for one in both:
        slots.release(one)

    assert len(slots.cache.prefixes) == 1


def test_a_shifted_sequence_is_not_kept():
    slots = Slots(2)
    one = slots.computed(TEXT)
    one.discarded = 10

    slots.release(one)

    assert slots.cached([*TEXT, 0]) == 0


def test_without_a_budget_nothing_is_kept_or_shared():
    slots = Slots(2, max_bytes=0)
    slots.over(TEXT)
    slots.computed(TEXT)

    assert slots.cached([*TEXT, 0]) == 0


def test_only_the_same_salt_shares():
    slots = Slots(2)
    slots.over(TEXT, salt="a")

    assert slots.cached(TEXT, salt="b") == 0
    assert slots.cached(TEXT, salt="a") == 99


# --- what kernels and memories allow --------------------------------------------------------------


def test_a_reproducible_prompt_reuses_whole_pieces_of_reproducible_prompts():
    slots = Slots(2, rules=PrefixRules(cut=16))
    slots.over(TEXT[:90])
    slots.over(TEXT[:70], reproducible=True)

    assert slots.cached(TEXT, reproducible=True) == 64
    assert slots.cached(TEXT) == 90


def test_what_a_reproducible_sequence_wrote_is_computed_again():
    slots = Slots(2, rules=PrefixRules(cut=16))
    one = slots.acquire(TEXT[:50], reproducible=True)
    one.tokens += TEXT[50:]
    slots.compute(one)
    slots.release(one)

    assert slots.cached(TEXT, reproducible=True) == 48


def test_a_state_that_cannot_be_cut_serves_only_those_who_go_on_with_all_of_it():
    slots = Slots(2, rules=PrefixRules(whole=True))
    slots.over(TEXT[:60])

    assert slots.cached([*TEXT[:50], 0]) == 0
    assert slots.cached(TEXT) == 60


def test_a_copy_with_a_window_serves_only_those_who_go_on_with_all_of_it():
    slots = Slots(1, rules=PrefixRules(window=32))
    slots.over(TEXT[:60])
    slots.over([*range(40)])

    assert slots.cached([*TEXT[:50], 0]) == 0
    assert slots.cached(TEXT) == 60


def test_what_a_grown_context_has_lost_behind_the_window_is_not_used():
    slots = Slots(1, rules=PrefixRules(window=32))
    slots.over(TEXT[:60])
    state = slots.memory.save(0)
    slots.memory.forget(0)
    slots.memory.restore(0, state)

    assert slots.cached([*TEXT[:50], 0]) == 0


# --- while data still have to move ----------------------------------------------------------------


def test_nothing_is_copied_into_a_slot_whose_data_still_move():
    slots = Slots(3)
    first, _, third = (slots.computed([*TEXT[n:], n], id=n) for n in range(3))
    slots.release(first)
    slots.cache.release(third)  # cancelled before its data have moved to the lowest slot

    assert slots.cache.is_moving
    assert slots.cached([*TEXT[2:], 5]) == 0
