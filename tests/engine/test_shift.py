import asyncio

import pytest
from ollama_nb_server.engine.messages import Delta, Generate, Grammar, SamplingParams, TextSegment
from ollama_nb_server.engine.sequence import Sequence

PROMPT = "<|im_start|>user\nTell me a story about a robot.<|im_end|>\n<|im_start|>assistant\n"
HOT = SamplingParams(
    seed=3, temperature=20.0, top_k=0, top_p=1.0
)  # so hot that it hardly ever ends
ENDLESS = {"num_ctx": 64, "sampling": HOT}


class NoSampler:
    def close(self) -> None: ...


def full(num_keep: int, num_ctx: int = 16) -> Sequence:
    made = Sequence(1, list(range(num_ctx)), 8, num_ctx, 99, None, NoSampler())
    made.computed, made.num_keep, made.shift = num_ctx - 1, num_keep, True
    return made


@pytest.mark.parametrize(
    ("num_keep", "dropped"),
    [(0, (0, 7)), (4, (4, 9)), (5, (5, 10)), (12, (12, 13)), (99, (12, 13))],
)
def test_the_older_half_behind_the_kept_tokens_is_dropped(num_keep, dropped):
    assert full(num_keep).outdated == dropped


def test_a_shift_counts_as_room_and_not_as_forgotten_tokens():
    sequence = full(4)

    sequence.drop(*sequence.outdated)

    assert sequence.tokens == [0, 1, 2, 3, *range(9, 16)]
    assert (sequence.waiting, sequence.num_generated, sequence.full) == (1, 8, False)


def test_without_shift_a_full_context_is_the_end():
    sequence = full(4)
    sequence.shift = False

    assert sequence.out_of_room


async def test_an_answer_goes_on_beyond_its_context(start_worker, ask):
    worker = await start_worker(num_ctx=64)

    text, finished = await ask(worker, "Once", num_predict=300, shift=True, **ENDLESS)

    assert finished.eval_count == 300
    assert len(await worker.tokenize(text)) > 64


async def test_without_shift_it_ends_with_its_context(start_worker, ask):
    worker = await start_worker(num_ctx=64)

    _, finished = await ask(worker, "Once", num_predict=300, **ENDLESS)

    assert finished.reason == "length"
    assert finished.prompt_count + finished.eval_count == 64


async def test_shifting_answers_equal_the_same_ones_alone(start_worker, ask):
    worker = await start_worker(num_ctx=64)
    prompts = ["Once", PROMPT, "The cat sat", "Yesterday " * 9]
    wishes = {"num_predict": 150, "shift": True, "num_keep": 4, **ENDLESS}
    alone = [(await ask(worker, prompt, **wishes))[0] for prompt in prompts]

    together = await asyncio.gather(*(ask(worker, prompt, **wishes) for prompt in prompts))

    assert [text for text, _ in together] == alone


async def test_a_request_s_own_smaller_context_is_shifted_too(start_worker, ask):
    worker = await start_worker(num_ctx=512)

    text, _ = await ask(worker, "Once", num_predict=150, shift=True, **ENDLESS)

    assert len(await worker.tokenize(text)) > 64


@pytest.mark.parametrize("num_keep", [0, 2, 4, 12, 100, -1])
async def test_what_a_grammar_forces_may_fill_the_context(start_worker, ask, num_keep) -> None:
    worker = await start_worker(num_ctx=24)
    text = "a text that is much longer than the context, so that it must make room again and again"
    schema = f'{{"properties": {{"a": {{"const": "{text}"}}}}, "required": ["a"]}}'
    wishes = {"grammar": Grammar("json_schema", schema), "num_keep": num_keep, "shift": True}

    answers = await asyncio.gather(
        ask(worker, "x", num_predict=200, **wishes), ask(worker, "Once", num_predict=20)
    )

    assert answers[0][0] == f'{{"a": "{text}"}}'
    assert answers[1][1].eval_count == 20


async def test_everything_may_be_kept(start_worker, ask):
    worker = await start_worker(num_ctx=64)

    _, finished = await ask(worker, PROMPT, num_predict=200, shift=True, num_keep=-1, **ENDLESS)

    assert finished.eval_count == 200


async def test_cancelling_others_in_a_shift_leaves_a_whole_answer(start_worker, ask):
    worker = await start_worker(num_ctx=64)
    wishes = {"num_predict": 400, "shift": True, **ENDLESS}

    async def leave_early(after: int) -> None:
        request = Generate(worker.new_id(), (TextSegment(PROMPT),), **wishes)
        events = worker.generate(request)
        shown = 0
        async for event in events:
            shown += isinstance(event, Delta)
            if shown == after:
                break
        await events.aclose()

    (_, finished), *_ = await asyncio.gather(
        ask(worker, "Once", **wishes), *(leave_early(n) for n in range(20, 120, 7))
    )

    assert finished.eval_count == 400
