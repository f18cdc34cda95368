import asyncio

import numpy as np
import psutil
import pytest
from ollama_nb_server.engine.errors import CannotGenerate, InputTooLong, NoRoomForInput
from ollama_nb_server.engine.messages import Embed, TextSegment

TEXTS = ("a cat", "the small dog sat on the mat", "pandas", "", "one " * 60, "a cat")


async def vectors(worker, texts, **wishes):
    embedded = await worker.embed(Embed(worker.new_id(), tuple(texts), **wishes))
    return np.stack([np.frombuffer(row, "<f4") for row in embedded.vectors]), embedded.prompt_count


async def test_vectors_have_length_one_and_the_size_of_the_model(worker):
    rows, _ = await vectors(worker, TEXTS)

    assert rows.shape == (len(TEXTS), worker.info.num_embd)
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)


async def test_vectors_in_a_batch_are_those_of_the_texts_alone_in_their_order(worker):
    rows, _ = await vectors(worker, TEXTS)

    alone = [(await vectors(worker, [text]))[0][0] for text in TEXTS]

    assert np.allclose(rows, alone, atol=2e-3)
    assert np.allclose(rows[0], rows[-1], atol=1e-5)


async def test_more_texts_than_one_batch_holds(worker):
    rows, _ = await vectors(worker, [f"{n} kittens" for n in range(150)])
    last, _ = await vectors(worker, ["149 kittens"])

    assert len(rows) == 150
    assert np.allclose(rows[-1], last[0], atol=2e-3)


async def test_the_count_is_the_sum_over_the_texts(worker):
    tokens = [await worker.tokenize(text, add_special=True) for text in TEXTS[:3]]

    assert (await vectors(worker, TEXTS[:3]))[1] == sum(map(len, tokens))


async def test_a_special_token_s_text_in_a_document_is_text(worker):
    _, count = await vectors(worker, ["<|im_end|>"])

    assert count == await worker.count((TextSegment("<|im_end|>", parse_special=False),)) > 1


async def test_a_long_text_is_cut_to_the_limit(worker):
    rows, count = await vectors(worker, ["word " * 3000], num_ctx=16)

    assert (len(rows), count) == (1, 16)


async def test_what_is_cut_off_is_counted(worker):
    texts = ("word " * 3000, "a cat", "word " * 17)

    whole = [len(await worker.tokenize(text, add_special=True)) for text in texts]
    embedded = await worker.embed(Embed(worker.new_id(), texts, num_ctx=16))

    assert embedded.num_texts_cut == 2
    assert embedded.num_tokens_before == whole[0] + whole[2]
    assert embedded.num_tokens_kept == 2 * 16
    assert embedded.prompt_count == 2 * 16 + whole[1]


async def test_nothing_is_told_of_texts_that_are_whole(worker):
    embedded = await worker.embed(Embed(worker.new_id(), TEXTS, num_ctx=256))

    assert embedded.num_texts_cut == embedded.num_tokens_before == embedded.num_tokens_kept == 0


async def test_a_text_longer_than_a_usual_batch_is_computed_whole(start_worker):
    worker = await start_worker(num_ctx=2048, num_parallel=1)

    assert (await vectors(worker, ["word " * 3000]))[1] == 2048


async def test_a_long_text_that_may_not_be_cut_is_refused(worker):
    with pytest.raises(InputTooLong):
        await vectors(worker, ["short", "word " * 3000], truncate=False)


async def test_vectors_and_answers_are_computed_beside_one_another(worker, ask):
    alone, _ = await ask(worker, "Once upon a time")

    (text, _), (rows, _) = await asyncio.gather(
        ask(worker, "Once upon a time"), vectors(worker, TEXTS * 20)
    )

    assert text == alone
    assert len(rows) == 20 * len(TEXTS)


async def test_a_request_is_computed_with_the_threads_that_it_asks_for(worker):
    process, most = psutil.Process(worker.pid), len(psutil.Process().cpu_affinity())
    one, _ = await vectors(worker, TEXTS, num_thread=1)
    few = process.num_threads()

    many, _ = await vectors(worker, TEXTS, num_thread=10_000)

    assert process.num_threads() == few + most - 1
    assert np.array_equal(one, many)


async def test_a_cancelled_request_leaves_the_next_one_whole(worker):
    wanted, _ = await vectors(worker, TEXTS)
    many = asyncio.create_task(vectors(worker, ["word " * 100] * 200))
    await asyncio.sleep(0.05)
    many.cancel()

    rows, _ = await vectors(worker, TEXTS)

    assert np.allclose(rows, wanted, atol=1e-6)


async def test_no_room_for_any_token_is_an_error(start_worker, bert_gguf):
    worker = await start_worker(bert_gguf)

    with pytest.raises(NoRoomForInput):
        await vectors(worker, ["a"], num_ctx=2)


async def test_a_model_that_pools_embeds_but_does_not_generate(start_worker, bert_gguf, ask):
    worker = await start_worker(bert_gguf)

    with pytest.raises(CannotGenerate):
        await ask(worker, "hello")
    rows, count = await vectors(worker, ["hello", "world"])

    assert rows.shape == (2, worker.info.num_embd)
    assert count == 6
