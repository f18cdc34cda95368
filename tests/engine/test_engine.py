from types import SimpleNamespace

import pytest
from ollama_nb_server.engine.engine import Engine, slots_that_fit, threads_for, usable_processors
from ollama_nb_server.engine.messages import LoadSpec
from ollama_nb_server.engine.native import AbortSwitch, NativeLog

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


@pytest.mark.parametrize(
    ("model", "reproducible", "expected"),
    [("demo_gguf", True, 1), ("demo_gguf", False, 2), ("q4_k_gguf", True, 2)],
)
def test_others_do_not_change_the_threads_of_a_reproducible_answer_by_flash_attention(
    request, model, reproducible, expected
):
    spec = LoadSpec(str(request.getfixturevalue(model)), num_ctx=64, num_parallel=1)
    asked = SimpleNamespace(num_thread=1, reproducible=reproducible)
    other = SimpleNamespace(num_thread=2, reproducible=False)

    with Engine(spec, NativeLog(), AbortSwitch()) as engine:
        assert engine.threads_of([asked, other]) == expected
