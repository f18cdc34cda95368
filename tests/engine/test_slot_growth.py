"""A load begins with few slots; more come when sequences wait, and nobody's answer changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ollama_nb_server.engine.engine import Engine
from ollama_nb_server.engine.errors import NotEnoughMemory
from ollama_nb_server.engine.hardware.fitting import SlotRoom, first_slots
from ollama_nb_server.engine.messages import SamplingParams
from ollama_nb_server.engine.native import Context
from ollama_nb_server.engine.prefixes.slot_growth import SlotGrowth
from serving import Serving

MIB = 1 << 20
SEEDED = {"sampling": SamplingParams(seed=7, temperature=1.0), "logprobs": 0, "reproducible": True}
PROMPTS = [f"Once upon a time there was a {who} who" for who in ("fox", "king", "boy", "girl")]


@pytest.mark.parametrize(
    ("slot_bytes", "num_slots", "first"),
    [(MIB, 16, 4), (90 * MIB, 16, 2), (500 * MIB, 16, 1), (MIB, 3, 3), (0, 16, 4)],
)
def test_a_load_begins_with_few_slots_of_small_ones(
    slot_bytes: int, num_slots: int, first: int
) -> None:
    assert first_slots(slot_bytes, num_slots) == first


@pytest.fixture(params=["demo_gguf", "q4_k_gguf", "mamba_gguf"])
def model(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue(request.param)


@pytest.fixture
def serve() -> Iterator[Any]:
    open_ones: list[Serving] = []

    def started(path: Path, **wishes: Any) -> Serving:
        open_ones.append(Serving(path, **{"num_parallel": 16, **wishes}))
        return open_ones[-1]

    yield started
    for serving in open_ones:
        serving.close()


def slots(serving: Serving) -> int:
    return serving.engine.kv_cache.num_slots


def test_answers_are_the_same_to_the_bit_through_a_growth(model: Path, serve: Any) -> None:
    """Four are in the middle of their answers when a fifth comes, and go on in a larger context."""
    alone = serve(model, num_parallel=1)
    expected = [alone.answer(prompt, num_predict=40, **SEEDED) for prompt in PROMPTS]
    fifth = alone.answer(PROMPTS[0] + " saw", num_predict=10, **SEEDED)

    serving = serve(model)
    asked = [serving.ask(prompt, num_predict=40, **SEEDED) for prompt in PROMPTS]
    late: list[int] = []
    ask_late = lambda: late.append(  # noqa: E731
        serving.ask(PROMPTS[0] + " saw", num_predict=10, **SEEDED)
    )
    serving.at_piece(asked[0], 5, ask_late)
    assert slots(serving) == 4
    serving.run()

    assert slots(serving) == 16
    for number, answer in zip([*asked, *late], [*expected, fifth], strict=True):
        assert serving.answers[number].text == answer.text
        assert serving.answers[number].logprobs == answer.logprobs


def test_greedy_answers_of_many_are_those_of_one(demo_gguf: Path, serve: Any) -> None:
    alone, serving = serve(demo_gguf, num_parallel=1), serve(demo_gguf)
    prompts = [f"{prompt} {number}" for prompt in PROMPTS for number in range(4)]
    asked = [serving.ask(prompt) for prompt in prompts]
    serving.run()

    assert slots(serving) == 16
    assert [serving.answers[n].text for n in asked] == [alone.answer(p).text for p in prompts]


def test_what_lies_in_idle_slots_is_still_there_afterwards(demo_gguf: Path, serve: Any) -> None:
    serving = serve(demo_gguf)
    story = "Once upon a time there was a little girl who lived in a house by the sea. " * 3
    serving.answer(story, num_predict=4)
    others = [serving.ask(f"{prompt} {prompt}", num_predict=60) for prompt in PROMPTS]
    more: list[int] = []
    serving.at_piece(others[0], 3, lambda: more.extend(serving.ask(p) for p in PROMPTS))
    serving.run()
    again = serving.answer(story, num_predict=4)

    assert slots(serving) > 4
    assert again.end.cached_count > 32


@pytest.mark.parametrize(("num_prompts", "num_slots"), [(4, 4), (5, 16)])
def test_prompts_that_are_to_be_scored_wait_for_slots_too(
    demo_gguf: Path, serve: Any, num_prompts: int, num_slots: int
) -> None:
    alone, serving = serve(demo_gguf, num_parallel=1), serve(demo_gguf)
    prompts = [f"{PROMPTS[0]} {number}" for number in range(num_prompts)]

    scores = serving.scores(prompts, ["a", "b"], reproducible=True)

    assert slots(serving) == num_slots
    assert scores == alone.scores(prompts, ["a", "b"], reproducible=True)


def test_few_requests_grow_nothing(demo_gguf: Path, serve: Any) -> None:
    serving = serve(demo_gguf)
    for prompt in PROMPTS * 3:
        serving.answer(prompt, num_predict=2)

    assert slots(serving) == 4
    assert serving.engine.loaded().num_parallel == 16


def test_what_lies_in_an_idle_slot_goes_along(demo_gguf: Path, serve: Any) -> None:
    alone, serving = serve(demo_gguf, num_parallel=1), serve(demo_gguf)
    story = "Once upon a time there was a little girl who lived in a house by the sea. " * 3
    serving.answer(story, num_predict=4)
    asked = [serving.ask(prompt) for prompt in (story + "She", *PROMPTS, "Tom", "Lily")]
    serving.run()

    assert slots(serving) == 16
    assert serving.answers[asked[0]].end.cached_count > 32
    assert serving.answers[asked[0]].text == alone.answer(story + "She").text


@pytest.mark.parametrize("is_settled", [True, False])
def test_nothing_grows_while_something_moves(is_settled: bool) -> None:
    kv_cache = SimpleNamespace(num_slots=4, num_free=0, is_settled=is_settled, occupied=[0])
    grown: list[int] = []
    memory = SimpleNamespace(grow=lambda num_seqs, _: grown.append(num_seqs))
    SlotGrowth(memory, kv_cache, 8, lambda: SlotRoom(1, 0.0, 0, 100)).grow(1)

    assert grown == ([8] if is_settled else [])


def test_without_memory_the_others_wait_for_their_slot(
    demo_gguf: Path, serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []

    def refuse(self: Context, num_seqs: int, occupied: object) -> None:
        tried.append(num_seqs)
        raise NotEnoughMemory("the context", "failed to allocate buffer for kv cache")

    serving = serve(demo_gguf)
    monkeypatch.setattr(Context, "grow", refuse)
    asked = [serving.ask(f"{prompt} {n}") for prompt in PROMPTS for n in range(3)]
    serving.run()

    assert tried == [16], "it is tried once"
    assert slots(serving) == 4
    assert all(serving.answers[number].end.eval_count for number in asked)


def test_it_grows_as_far_as_there_is_memory(
    demo_gguf: Path, serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving = serve(demo_gguf)
    room = replace(serving.engine._room(), host_bytes=9 * serving.engine.loaded().slot_bytes)
    monkeypatch.setattr(serving.engine._growth, "_room", lambda: room)
    asked = [serving.ask(f"{prompt} {n}") for prompt in PROMPTS for n in range(4)]
    serving.run()

    assert slots(serving) == 9
    assert all(serving.answers[number].end.eval_count for number in asked)


def test_a_growth_that_fails_midway_leaves_the_old_context(
    demo_gguf: Path, serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving, alone = serve(demo_gguf), serve(demo_gguf, num_parallel=1)
    context: Context = serving.engine.context
    before, carried = context.pointer, context._carried
    monkeypatch.setattr(Context, "_carried", lambda _, *what: what[0] < 2 and carried(*what))
    asked = [serving.ask(f"{prompt} 0") for prompt in PROMPTS]
    late = [f"{prompt} 1" for prompt in PROMPTS]
    serving.at_piece(asked[0], 2, lambda: asked.extend(serving.ask(prompt) for prompt in late))
    serving.run()

    assert (context.pointer, slots(serving)) == (before, 4)
    for request, prompt in zip(asked, [*(f"{p} 0" for p in PROMPTS), *late], strict=True):
        assert serving.answers[request].text == alone.answer(prompt).text


def test_a_memory_that_cannot_be_copied_has_all_its_slots_from_the_beginning(
    demo_gguf: Path, serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Context, "carries_to", lambda *_: False)
    serving = serve(demo_gguf)

    assert slots(serving) == 16
    assert serving.engine.loaded().num_slots == 16
    assert serving.answer(PROMPTS[0]).end.eval_count


def test_a_load_takes_memory_for_the_slots_that_it_has(q4_k_gguf: Path, serve: Any) -> None:
    engine: Engine = serve(q4_k_gguf, num_ctx=1024).engine
    told = engine.loaded()

    assert (told.num_slots, told.num_parallel) == (4, 16)
    assert told.slot_bytes == 1024 * engine.model.kv_bytes_per_token
    rest = told.size_bytes - 4 * told.slot_bytes
    assert engine.model.size_bytes <= rest < engine.model.size_bytes + 64 * MIB


def test_express_slots_come_on_top_when_they_are_needed(demo_gguf: Path, serve: Any) -> None:
    serving = serve(demo_gguf, num_parallel=4, num_express=1)
    told = serving.engine.loaded()
    before = slots(serving)
    for _ in range(5):
        serving.ask("Once upon a time", num_predict=20)
    serving.run()

    assert (told.num_parallel, told.num_express, before) == (4, 1, 4)
    assert slots(serving) == 5
