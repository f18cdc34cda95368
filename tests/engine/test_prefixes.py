"""Prefixes on real models: what was computed once is not computed again, and nobody notices."""

from __future__ import annotations

import random
from functools import partial

import pytest
import vision_models
from ollama_nb_server.engine.messages import Finished, SamplingParams
from serving import Serving
from token_memory import assert_sound

MODELS = ["demo_gguf", "q4_k_gguf", "mamba_gguf", "gemma3_gguf"]
PUBLISHED = pytest.param("qwen_coder", marks=pytest.mark.real)
OFF = {"prefix_cache_bytes": 0}
HOT = SamplingParams(seed=3, temperature=20.0, top_k=0, top_p=1.0)  # hardly ever ends by itself


def prompt(num_tokens: int, seed: int = 1) -> tuple[int, ...]:
    return tuple(random.Random(seed).choices(range(300, 3000), k=num_tokens))


@pytest.fixture(scope="session")
def gemma3_gguf(models_dir):
    """A tiny model of random weights, some of whose layers look back 32 tokens only."""
    model, _ = vision_models.written(models_dir, "gemma3")
    return model


WINDOW = {"overrides": (("gemma3.attention.sliding_window", 32),)}


@pytest.fixture(scope="module")
def served(request):
    """`served("demo_gguf", num_ctx=...)`: a model at work; each is loaded once."""
    kept: dict[object, Serving] = {}

    def serving(name: str, **wishes: object) -> Serving:
        wishes |= WINDOW if name == "gemma3_gguf" else {}
        key = name, *sorted(wishes.items())
        if key not in kept:
            kept[key] = Serving(request.getfixturevalue(name), **wishes)
        return kept[key]

    yield serving
    for each in kept.values():
        each.close()


def cached(serving: Serving, tokens: tuple[int, ...], **wishes: object) -> int:
    """How many tokens of a prompt were not computed for it."""
    return serving.answer(tokens, num_predict=2, **wishes).end.cached_count


# --- one after another ----------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["q4_k_gguf", "mamba_gguf"])
def test_a_conversation_is_gone_on_with(served, model):
    serving = served(model)
    first = serving.answer(prompt(120), num_predict=10)
    (kept,) = serving.engine.kv_cache.prefixes.idle.values()

    before = serving.nodes
    second = serving.answer((*kept.keys, *prompt(5, 2)), num_predict=1)
    spent = serving.nodes - before

    assert first.end.cached_count == 0
    assert second.end.cached_count == 120 + 9
    assert second.end.prompt_count == 120 + 9 + 5
    assert spent == one_batch(serving)


def one_batch(serving: Serving) -> int:
    """Nodes that one computation takes."""
    before = serving.nodes
    serving.answer(prompt(6, 99), num_predict=1)
    return serving.nodes - before


@pytest.mark.parametrize("model", [*MODELS, PUBLISHED])
def test_reused_and_fresh_prompts_have_equal_greedy_answers(served, model):
    fresh, keeping = served(model, **OFF), served(model, num_parallel=2)
    texts = [prompt(150), prompt(150) + prompt(20, 2), prompt(70) + prompt(9, 3), prompt(90, 4)]
    order = [0, 1, 0, 2, 3, 1, 2, 0]

    answers = [keeping.answer(texts[n], num_predict=12) for n in order]

    alone = [fresh.answer(text, num_predict=12).text for text in texts]
    assert [answer.text for answer in answers] == [alone[n] for n in order]
    assert sum(answer.end.cached_count for answer in answers) > 500


@pytest.mark.parametrize("model", [*MODELS[:2], PUBLISHED])
@pytest.mark.parametrize("lengths", [(130, 150), (64, 65), (200, 130)])
def test_a_reproducible_answer_is_the_same_to_the_bit_with_a_reused_prefix(served, model, lengths):
    wishes = {"reproducible": True, "logprobs": 3, "num_predict": 6}
    fresh, keeping = served(model, **OFF), served(model, num_parallel=2)
    first, second = (prompt(n, sum(lengths)) for n in lengths)
    keeping.answer(first, **wishes)

    again = keeping.answer(second, **wishes)

    assert again.logprobs == fresh.answer(second, **wishes).logprobs
    assert again.end.cached_count == min(lengths) // 64 * 64


def test_a_recurrent_model_is_reproducible_from_where_its_state_was_copied(served):
    wishes = {"reproducible": True, "logprobs": 3, "num_predict": 6}
    fresh, keeping = served("mamba_gguf", **OFF), served("mamba_gguf", num_parallel=2)
    keeping.answer(prompt(130, 5), **wishes)

    again = keeping.answer(prompt(150, 5), **wishes)

    assert again.logprobs == fresh.answer(prompt(150, 5), **wishes).logprobs
    assert again.end.cached_count == 128


# --- at once --------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS)
def test_a_beginning_that_several_share_is_computed_once(served, model):
    serving = served(model, num_ctx=1024)
    common = prompt(600, 7)

    asked = [serving.ask((*common, *prompt(5, n)), num_predict=1) for n in range(9)]
    serving.run()

    counts = [serving.answers[request].end.cached_count for request in asked]
    assert counts[0] == 0
    assert min(counts[1:]) >= 600
    assert serving.engine.model.window == (32 if model == "gemma3_gguf" else 0)


def test_who_computes_it_may_leave_and_another_goes_on(served):
    serving, common = served("q4_k_gguf", num_ctx=1024), prompt(900, 8)
    asked = [serving.ask((*common, n), num_predict=1) for n in range(300, 303)]
    serving.in_nodes(100, partial(serving.cancel, asked[0]))

    serving.run()

    ends = [serving.answers[request].end for request in asked]
    assert ends[0] is None
    assert [end.prompt_count for end in ends[1:]] == [901, 901]
    assert ends[2].cached_count == 900


def test_another_one_is_served_meanwhile(served):
    serving, common = served("q4_k_gguf", num_ctx=1024), prompt(900, 9)
    leader, follower = (serving.ask((*common, n), num_predict=1) for n in (300, 301))
    other = serving.ask(prompt(10, 10), num_predict=1)

    serving.run()

    places = [serving.answers[request].end_place for request in (other, leader, follower)]
    assert places == sorted(places)


# --- whatever comes in whatever order -------------------------------------------------------------

BEGINNINGS = [prompt(n, n) for n in (0, 40, 80, 130)]
FULL = {"num_ctx": 200, "shift": True, "num_keep": 4}


def something(serving: Serving, chance: random.Random) -> int:
    """Somebody asks, and may leave between two steps or in the middle of one."""
    wishes = {"num_predict": chance.randint(1, 12), "reproducible": chance.random() < 0.3}
    if chance.random() < 0.2:
        wishes |= {**FULL, "num_predict": 90, "sampling": HOT}
    tokens = chance.choice(BEGINNINGS) + prompt(chance.randint(2, 40), chance.randrange(4))
    request = serving.ask(tokens, **wishes)
    if chance.random() < 0.2:
        serving.at_piece(request, chance.randint(1, 6), partial(serving.leave, request))
    elif chance.random() < 0.2:
        in_step = partial(serving.in_nodes, chance.randint(1, 20), partial(serving.cancel, request))
        serving.at_piece(request, chance.randint(1, 3), in_step)
    return request


@pytest.mark.parametrize("model", MODELS[:3])
def test_many_who_come_and_leave_get_their_answers_and_leave_nothing_behind(served, model):
    keeping = served(model, num_parallel=3, prefix_cache_bytes=1 << 20)
    cache, chance = keeping.engine.kv_cache, random.Random(1)
    sent = keeping._sent

    def checked(*told: object) -> None:
        sent(*told)
        assert_sound(cache)

    keeping._core._send = checked
    for _ in range(12):
        for _ in range(6):
            something(keeping, chance)
        keeping.run()
        assert cache.num_free == 3
        assert not cache.prefixes.running

    ends = [answer.end for answer in keeping.answers if answer.end]
    assert len(ends) > 40
    assert all(isinstance(end, Finished) for end in ends)
    assert sum(end.cached_count for end in ends) > 500
