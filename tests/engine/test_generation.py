import asyncio
import random
from contextlib import aclosing

import pytest
from ollama_nb_server.engine.errors import PromptTooLong, UnknownToken
from ollama_nb_server.engine.messages import Delta, Generate, SamplingParams, TextSegment

PROMPTS = [
    "<|im_start|>user\nTell me a story about a robot.<|im_end|>\n<|im_start|>assistant\n",
    "Once upon a time",
    "<|im_start|>user\nWhat is 2 + 3?<|im_end|>\n<|im_start|>assistant\n",
    "The cat",
    "<|im_start|>user\nWhat is a notebook?<|im_end|>\n<|im_start|>assistant\n" + "Well, " * 40,
    "Yesterday " * 30,
]
LONG = "The small robot looked for the lost kitten in the garden. " * 30
GREEDY = SamplingParams(seed=1, temperature=0)


async def test_batched_answers_equal_the_same_prompts_run_alone(worker, ask):
    alone = [(await ask(worker, prompt))[0] for prompt in PROMPTS]

    together = await asyncio.gather(*(ask(worker, prompt) for prompt in PROMPTS))

    assert [text for text, _ in together] == alone
    assert all(alone)


async def test_a_seed_draws_the_same_answer_whoever_else_is_served(start_worker, ask):
    worker = await start_worker(num_parallel=8)
    ids = random.Random(1)
    prompts = [tuple(ids.choices(range(300, 3000), k=n)) for n in (20, 64, 90, 150, 200, 333, 400)]
    hot = SamplingParams(seed=5, temperature=2.0, top_k=0, top_p=1.0)
    wishes = {"sampling": hot, "reproducible": True}
    alone = [(await ask(worker, prompt, **wishes))[0] for prompt in prompts]

    together = await asyncio.gather(*(ask(worker, prompt, **wishes) for prompt in prompts))

    assert [text for text, _ in together] == alone


async def test_more_requests_than_places_are_all_served(start_worker, ask):
    worker = await start_worker(num_parallel=2)

    answers = await asyncio.gather(*(ask(worker, PROMPTS[n % 6]) for n in range(12)))

    assert len({text for text, _ in answers}) == 6


async def test_counts_are_tokens_and_times_are_measured(worker, ask):
    prompt = await worker.tokenize(PROMPTS[1], add_special=True)

    _, finished = await ask(worker, PROMPTS[1], num_predict=5)

    assert (finished.reason, finished.prompt_count, finished.eval_count) == (
        "length",
        len(prompt),
        5,
    )
    assert finished.prompt_ns > 0
    assert finished.eval_ns > 0


async def test_the_token_that_ends_a_run_is_counted_but_not_shown(worker, ask):
    text, finished = await ask(worker, PROMPTS[0], num_predict=300)

    assert finished.reason == "stop"
    assert "<|im_end|>" not in text
    assert finished.eval_count == len(await worker.tokenize(text)) + 1


async def test_no_token_is_drawn_if_none_is_wanted(worker, ask):
    text, finished = await ask(worker, PROMPTS[0], num_predict=0)

    assert (text, finished.reason, finished.eval_count) == ("", "length", 0)


async def test_a_stop_string_ends_the_answer_and_is_not_shown(worker, ask):
    whole, _ = await ask(worker, PROMPTS[0], num_predict=60)
    stop = whole[20:29]

    text, finished = await ask(worker, PROMPTS[0], num_predict=60, stop=(stop,))

    assert text == whole[: whole.index(stop)]
    assert finished.reason == "stop"


async def test_a_full_context_ends_the_answer(worker, ask):
    _, finished = await ask(worker, PROMPTS[1], num_ctx=16, num_predict=-1)

    assert (finished.reason, finished.prompt_count + finished.eval_count) == ("length", 16)


async def test_a_prompt_that_does_not_fit_is_refused_with_both_lengths(worker, ask):
    count = len(await worker.tokenize(LONG, add_special=True))

    with pytest.raises(PromptTooLong) as refusal:
        await ask(worker, LONG, num_ctx=64)

    assert (refusal.value.num_tokens, refusal.value.num_ctx) == (count, 64)
    assert (await ask(worker, "The cat", num_ctx=64))[0]


async def test_token_ids_are_taken_as_they_are(worker, ask):
    tokens = await worker.tokenize(PROMPTS[1], add_special=True)

    assert (await ask(worker, tokens))[0] == (await ask(worker, PROMPTS[1]))[0]


async def test_an_unknown_token_harms_nobody_else(worker, ask):
    beside = asyncio.create_task(ask(worker, PROMPTS[0]))

    with pytest.raises(UnknownToken):
        await ask(worker, (1, worker.info.num_vocab))

    assert (await beside)[0]


async def test_an_empty_prompt_is_a_prompt(worker, ask):
    assert (await ask(worker, "", num_predict=3))[1].eval_count == 3


async def test_a_seed_repeats_an_answer_and_another_seed_does_not(worker, ask):
    first, again, other = [
        (await ask(worker, PROMPTS[1], sampling=SamplingParams(seed=seed, temperature=1.5)))[0]
        for seed in (7, 7, 8)
    ]

    assert first == again
    assert first != other


@pytest.mark.parametrize(
    "wish",
    [
        {"top_k": 1},
        {"top_p": 0.0},
        {"min_p": 1.0},
        {"typical_p": 0.9, "top_k": 1},
        {"temperature": -1.0},
    ],
    ids=str,
)
async def test_a_filter_that_leaves_one_token_is_greedy(worker, ask, wish):
    greedy, _ = await ask(worker, PROMPTS[1])

    sampling = SamplingParams(**{"seed": 5, "temperature": 1.0, **wish})

    assert (await ask(worker, PROMPTS[1], sampling=sampling))[0] == greedy


@pytest.mark.parametrize(
    "wish",
    [
        {"repeat_penalty": 1.9},
        {"presence_penalty": 50.0, "repeat_last_n": -1},
        {"frequency_penalty": 50.0},
    ],
    ids=str,
)
async def test_penalties_count_the_prompt_and_change_even_a_greedy_answer(worker, ask, wish):
    prompt = "the cat and the cat and the cat and the"
    plain, _ = await ask(worker, prompt)

    penalised, _ = await ask(worker, prompt, sampling=SamplingParams(seed=1, temperature=0, **wish))
    unseen, _ = await ask(
        worker,
        prompt,
        sampling=SamplingParams(seed=1, temperature=0, **{**wish, "repeat_last_n": 0}),
    )

    assert penalised != plain
    assert unseen == plain


@pytest.mark.parametrize("mirostat", [1, 2])
async def test_mirostat_takes_effect(worker, ask, mirostat):
    wish = {"seed": 3, "temperature": 1.0, "top_k": 1, "mirostat": mirostat, "mirostat_tau": 8.0}
    greedy, _ = await ask(worker, PROMPTS[1])

    assert (await ask(worker, PROMPTS[1], sampling=SamplingParams(**wish)))[0] != greedy


async def test_a_cancelled_request_frees_its_place_for_the_next(start_worker, ask):
    worker = await start_worker(num_parallel=1)
    endless = Generate(
        worker.new_id(), (TextSegment(PROMPTS[1]),), SamplingParams(seed=1, temperature=2.0), -1
    )
    async with aclosing(worker.generate(endless)) as events:
        assert isinstance(await anext(events), Delta)

    answer = await asyncio.wait_for(ask(worker, PROMPTS[1]), 5)

    assert answer[0]


async def test_cancelling_a_long_prefill_leaves_the_others_as_they_were(start_worker, ask):
    worker = await start_worker(num_ctx=2048)
    alone, _ = await ask(worker, PROMPTS[0], num_predict=80)

    beside = asyncio.create_task(ask(worker, PROMPTS[0], num_predict=80))
    for _ in range(10):
        long = asyncio.create_task(ask(worker, LONG * 2))
        await asyncio.sleep(0.01)
        long.cancel()

    assert (await beside)[0] == alone
    assert (await ask(worker, PROMPTS[0], num_predict=80))[0] == alone


async def test_the_context_is_never_larger_than_the_model_was_trained_for(start_worker):
    worker = await start_worker(num_ctx=1_000_000, num_parallel=1, num_batch=1_000_000)

    assert worker.info.num_ctx == worker.info.num_ctx_train


async def test_a_tiny_context_and_batch_still_work(start_worker, ask):
    worker = await start_worker(num_ctx=1, num_batch=1, num_parallel=1)

    _, finished = await ask(worker, "a", num_predict=-1)

    assert worker.info.num_ctx == 4
    assert (finished.reason, finished.prompt_count + finished.eval_count) == ("length", 4)


async def test_special_tokens_are_parsed_and_come_back_as_text(worker):
    tokens = await worker.tokenize("<|im_start|>user")

    assert await worker.detokenize(tokens) == "<|im_start|>user"
    assert len(tokens) < len(await worker.tokenize("<|im_start>user"))
