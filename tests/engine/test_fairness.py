"""Real workers: whose answer begins before whose. Compared by the order of messages, not by time."""

import asyncio
import random

import pytest
from ollama_nb_server.engine.messages import Delta, Generate, SamplingParams, TokenSegment

HOT = SamplingParams(seed=1, temperature=20.0)


async def first_tokens(worker, *lengths: int) -> list[int]:
    """Prompts of so many tokens, asked in this order: their lengths as their first tokens came."""
    ids, came = random.Random(1), []

    async def ask(num_tokens: int) -> None:
        prompt = (TokenSegment(tuple(ids.choices(range(300, 3000), k=num_tokens))),)
        async for event in worker.generate(Generate(worker.new_id(), prompt, HOT, 1)):
            if isinstance(event, Delta):
                came.append(num_tokens)

    await asyncio.gather(*map(ask, lengths))
    return came


@pytest.mark.parametrize("model", ["demo_gguf", "q4_k_gguf"])
async def test_a_short_prompts_first_token_comes_before_that_of_a_long_one(
    start_worker, request, model
):
    worker = await start_worker(request.getfixturevalue(model), num_ctx=2048, num_parallel=3)

    assert await first_tokens(worker, 1900, 700, 5) == [5, 700, 1900]


@pytest.mark.parametrize("model", ["demo_gguf", "q4_k_gguf"])
async def test_a_long_prompt_has_its_turns_among_many_short_ones(start_worker, request, model):
    worker = await start_worker(request.getfixturevalue(model), num_ctx=1024, num_parallel=3)

    came = await first_tokens(worker, 500, *[250] * 20)  # two of these fill whatever is computed

    assert came.index(500) <= 10
