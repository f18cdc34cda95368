import asyncio

import pytest
from ollama_nb_server.engine.errors import PromptTooLong

MARK = "<|im_end|>"


@pytest.mark.parametrize(
    "text",
    [
        MARK * 3000,
        (MARK + " hello <|im_start|>you\n") * 1500,
        "plain words " * 4000,
        "<|endoftext|>" + MARK * 900 + "tail " * 9000,
        " " * 40_000 + MARK * 500 + " ",
    ],
    ids=["marks", "chat", "plain", "mixed", "blanks"],
)
@pytest.mark.parametrize("add_special", [True, False])
async def test_a_long_text_is_cut_into_the_tokens_of_its_parts(
    worker, text: str, add_special: bool
) -> None:
    parts = [part + MARK for part in text.split(MARK)]
    parts[-1] = parts[-1].removesuffix(MARK)

    whole = await worker.tokenize(text, add_special=add_special)

    alone = [await worker.tokenize(part) for part in dict.fromkeys(parts)]
    known = dict(zip(dict.fromkeys(parts), alone, strict=True))
    assert whole == tuple(token for part in parts for token in known[part])


async def test_a_text_of_special_tokens_is_read_in_time(worker) -> None:
    count, ends = await worker.ends(MARK * 400_000, 3)  # all at once it takes a quarter of an hour

    assert (count, ends) == (400_000, (2,) * 6)


async def test_short_requests_pass_long_ones(worker, ask) -> None:
    long = asyncio.create_task(worker.tokenize("The quick brown fox. " * 200_000))

    await ask(worker, "Once", num_predict=3)

    assert not long.done()
    assert len(await long) > 1_000_000


async def test_long_ids_become_text_aside_too(worker, ask) -> None:
    long = asyncio.create_task(worker.detokenize([300] * 2_000_000))

    await ask(worker, "Once", num_predict=3)

    assert not long.done()
    assert len(await long) >= 2_000_000


async def test_an_error_in_a_long_text_is_its_request_s_own(worker, ask) -> None:
    with pytest.raises(PromptTooLong):
        await ask(worker, "word " * 50_000, num_predict=1)

    assert (await ask(worker, "Once", num_predict=2))[1].eval_count == 2
