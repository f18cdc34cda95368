import pytest
from ollama_nb_server.engine.engine import slots_that_fit, threads_for, usable_processors

GIB = 1 << 30


@pytest.mark.parametrize(
    ("slot_bytes", "free_bytes", "slots"),
    [
        (GIB, 16 * GIB, 4),
        (1000, 16 * GIB, 16),
        (16 * GIB, 8 * GIB, 1),
        (0, 0, 1),
    ],
)
def test_slots_take_a_quarter_of_free_memory(slot_bytes, free_bytes, slots):
    assert slots_that_fit(slot_bytes, free_bytes) == slots


def test_threads_are_as_many_as_wanted_and_never_more_than_processors():
    assert threads_for(10**9, wanted=1) == 1
    assert threads_for(10**9, wanted=10_000) == usable_processors()


def test_a_tiny_model_gets_one_thread():
    assert threads_for(3_000_000, wanted=0) == 1


def test_a_larger_model_gets_at_least_one_thread():
    assert threads_for(10**9, wanted=0) >= 1
