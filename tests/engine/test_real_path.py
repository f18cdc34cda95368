"""Workers with models of every kind: several threads or one, recurrent.

Greedy answers are compared only where the same things were computed together.
"""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
import pytest_asyncio
from ollama_nb_server.engine.messages import (
    Delta,
    Embed,
    Generate,
    LoadSpec,
    Progress,
    SamplingParams,
    TextSegment,
)
from ollama_nb_server.engine.process import Worker

PUBLISHED = [pytest.param(name, marks=pytest.mark.real) for name in ("smollm2", "qwen_coder")]
GENERATING = ["demo_gguf", "q4_k_gguf", "mamba_gguf", *PUBLISHED]
PROMPTS = [
    "Once upon a time",
    "The cat",
    "def mean(values):",
    "Yesterday " * 30,
    "A dog",
    "1 + 1 =",
]
HOT = SamplingParams(seed=3, temperature=20.0, top_k=0, top_p=1.0)  # hardly ever ends by itself
LENGTHS = [3, 12, 5, 9, 4, 7]  # tokens
DEADLINE_S = 60

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=GENERATING)
async def worker(request):
    """Two slots of 256 tokens."""
    path = request.getfixturevalue(request.param)
    worker = await Worker.start(LoadSpec(str(path), num_ctx=256, num_parallel=2))
    yield worker
    await worker.stop()


async def first_piece(worker, prompt, **wishes):
    """A generation that never ends by itself, and has begun."""
    wishes = {"sampling": HOT, "num_predict": -1, "shift": True, "num_ctx": 64, **wishes}
    events = worker.generate(Generate(worker.new_id(), (TextSegment(prompt),), **wishes))
    async for event in events:
        if isinstance(event, Delta):
            return events
        assert isinstance(event, Progress)
    raise AssertionError("it ended before it had begun")


async def test_more_requests_than_slots_are_all_answered_whole(worker, ask):
    asked = zip(PROMPTS, LENGTHS, strict=True)

    answers = await asyncio.gather(
        *(ask(worker, prompt, num_predict=length, sampling=HOT) for prompt, length in asked)
    )

    assert [finished.eval_count for _, finished in answers] == LENGTHS
    assert all(text for text, _ in answers)


async def test_cancelled_requests_make_room_whether_they_run_or_wait(worker, ask):
    alone, _ = await ask(worker, PROMPTS[0], num_predict=8)
    running = [await first_piece(worker, prompt) for prompt in PROMPTS[:2]]
    waiting = [asyncio.create_task(ask(worker, prompt, num_predict=-1)) for prompt in PROMPTS]
    served = asyncio.create_task(ask(worker, PROMPTS[0], num_predict=8))
    await worker.count("a")  # by now the worker has taken all of them in
    for task in waiting:
        task.cancel()
    for events in running:
        await events.aclose()

    text, _ = await asyncio.wait_for(served, DEADLINE_S)

    assert text == alone
    assert all(task.cancelled() for task in waiting)


async def test_an_answer_goes_on_beyond_its_context(worker, ask):
    text, finished = await ask(
        worker, PROMPTS[0], num_predict=40, num_ctx=16, shift=True, num_keep=2, sampling=HOT
    )

    assert finished.eval_count == 40
    assert len(text) > 40


async def test_without_shift_it_ends_with_its_context(worker, ask):
    _, finished = await ask(worker, PROMPTS[0], num_predict=40, num_ctx=16, sampling=HOT)

    assert finished.reason == "length"
    assert finished.prompt_count + finished.eval_count == 16


async def vectors(worker, texts):
    embedded = await worker.embed(Embed(worker.new_id(), tuple(texts)))
    return np.stack([np.frombuffer(row, "<f4") for row in embedded.vectors])


@pytest.mark.parametrize("worker", GENERATING[:4], indirect=True)
async def test_texts_have_their_vectors_in_their_order(worker):
    rows = await vectors(worker, PROMPTS)

    alone = [(await vectors(worker, [text]))[0] for text in PROMPTS]

    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    assert ((rows * alone).sum(axis=1) > 0.999).all()
