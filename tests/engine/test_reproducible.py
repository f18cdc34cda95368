"""Reproducible answers: the same to the last bit of every probability, whoever else is served."""

import asyncio
import random

import pytest
from ollama_nb_server.engine.messages import Delta, Generate, SamplingParams, TokenSegment

MODELS = ["demo_gguf", "q4_k_gguf"]
PUBLISHED = pytest.param("qwen_coder", marks=pytest.mark.real)
LENGTHS = [2, 20, 63, 64, 65, 66, 130, 7]
GREEDY = SamplingParams(seed=1, temperature=0)
HOT = SamplingParams(seed=7, temperature=2.0, top_k=0, top_p=1.0)


def prompts() -> list[tuple[TokenSegment, ...]]:
    ids = random.Random(2)
    return [(TokenSegment(tuple(ids.choices(range(300, 3000), k=n))),) for n in LENGTHS]


async def told(worker, prompt, sampling=GREEDY, num_predict=8, **wishes) -> list[object]:
    """Everything an answer tells of its tokens: their texts and probabilities, and the likeliest."""
    wishes = {"reproducible": True, "logprobs": 3, **wishes}
    request = Generate(worker.new_id(), prompt, sampling, num_predict, **wishes)
    events = [event async for event in worker.generate(request)]
    return [piece for event in events if isinstance(event, Delta) for piece in event.logprobs]


@pytest.fixture
async def worker(start_worker, request):
    """Eight slots of the model that the test names."""
    return await start_worker(request.getfixturevalue(request.param), num_parallel=8)


@pytest.mark.parametrize("worker", [*MODELS, PUBLISHED], indirect=True)
@pytest.mark.parametrize("sampling", [GREEDY, HOT], ids=["greedy", "seeded"])
async def test_eight_at_once_tell_what_each_tells_alone(worker, sampling):
    alone = [await told(worker, prompt, sampling) for prompt in prompts()]

    together = await asyncio.gather(*(told(worker, prompt, sampling) for prompt in prompts()))

    assert together == alone
    assert all(alone)


async def test_two_hundred_prompts_are_answered_as_each_is_alone(start_worker, demo_gguf):
    """Half of them begin alike, so that what one has computed serves others; some are drawn."""
    worker = await start_worker(demo_gguf, num_parallel=8)
    ids = random.Random(4)
    alike = ids.choices(range(300, 3000), k=70)
    asked = []
    for number in range(200):
        tokens = (*alike[: 70 * (number % 2)], *ids.choices(range(300, 3000), k=ids.randint(2, 40)))
        sampling = SamplingParams(seed=number, temperature=number % 3)
        asked.append(((TokenSegment(tokens),), sampling, ids.randint(1, 12)))
    alone = [await told(worker, *each) for each in asked]

    together = await asyncio.gather(*(told(worker, *each) for each in asked))

    assert [at for at, answer in enumerate(alone) if together[at] != answer] == []
    assert all(alone)


@pytest.mark.parametrize("worker", MODELS, indirect=True)
async def test_others_who_do_not_ask_for_it_change_nothing(worker):
    first, *others = prompts()[::-1]
    alone = await told(worker, first, num_predict=12)

    beside = [told(worker, each, HOT, 16, reproducible=False) for each in others]
    together, *_ = await asyncio.gather(told(worker, first, num_predict=12), *beside)

    assert together == alone


@pytest.mark.parametrize("worker", MODELS, indirect=True)
async def test_cancelled_prompts_of_others_change_nothing(worker):
    first, second = prompts()[4], prompts()[6]
    alone = await told(worker, first, num_predict=12)

    beside = asyncio.create_task(told(worker, first, num_predict=12))
    while not beside.done():
        other = asyncio.create_task(told(worker, second))
        await asyncio.wait({beside, other}, timeout=0.02)
        other.cancel()

    assert await beside == alone


async def test_flash_attention_in_long_contexts_changes_nothing(start_worker, q4_k_gguf):
    """It shares a single sequence's context out among the threads from 512 cells on."""
    worker = await start_worker(q4_k_gguf, num_ctx=1024, flash=True)
    ids = random.Random(3)
    long = [(TokenSegment(tuple(ids.choices(range(300, 3000), k=n))),) for n in (513, 513)]
    alone = [await told(worker, prompt, num_predict=24) for prompt in long]

    together = await asyncio.gather(*(told(worker, prompt, num_predict=24) for prompt in long))

    assert together == alone
