from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from ollama_nb_server.engine.engine import Engine, threads_for
from ollama_nb_server.engine.hardware.processors import usable_processors
from ollama_nb_server.engine.messages import LoadSpec
from ollama_nb_server.engine.native import AbortSwitch, NativeLog


def test_threads_are_as_many_as_wanted_and_never_more_than_processors():
    assert threads_for(10**9, wanted=1) == 1
    assert threads_for(10**9, wanted=10_000) == usable_processors()


def test_a_tiny_model_gets_one_thread():
    assert threads_for(3_000_000, wanted=0) == 1


def test_a_larger_model_gets_at_least_one_thread():
    assert threads_for(10**9, wanted=0) >= 1


def asking(num_thread: int, *, reproducible: bool = False) -> SimpleNamespace:
    return SimpleNamespace(num_thread=num_thread, reproducible=reproducible)


@pytest.fixture
def engine(request) -> Iterator[Engine]:
    spec = LoadSpec(str(request.getfixturevalue(request.param)), num_ctx=64, num_parallel=1)
    with Engine(spec, NativeLog(), AbortSwitch()) as engine:
        yield engine


@pytest.mark.parametrize(
    ("engine", "reproducible", "expected"),
    [("demo_gguf", True, 1), ("demo_gguf", False, 2), ("q4_k_gguf", True, 2)],
    indirect=["engine"],
)
def test_others_do_not_change_the_threads_of_a_reproducible_answer_by_flash_attention(
    engine, reproducible, expected
):
    asked = [asking(1, reproducible=reproducible), asking(2)]

    assert engine.threads_of(asked) == min(expected, usable_processors())


class BesideOthers:
    """What a governor says beside processes that leave nothing."""

    threads = 1


@pytest.mark.parametrize("engine", ["q4_k_gguf"], indirect=True)
def test_threads_give_way_unless_somebody_has_asked_for_them(engine, monkeypatch):
    monkeypatch.setattr(engine, "_own_threads", 4)
    monkeypatch.setattr(engine, "_governor", BesideOthers())

    assert engine.threads_of([asking(0), asking(0, reproducible=True)]) == 1
    assert engine.threads_of([asking(2), asking(0)]) == min(2, usable_processors())

    monkeypatch.setattr(engine, "flash", True)
    assert engine.threads_of([asking(0)]) == 1
    assert engine.threads_of([asking(0), asking(0, reproducible=True)]) == 4
