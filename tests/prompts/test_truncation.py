from __future__ import annotations

import pytest
from ollama_nb_server.prompts.errors import PromptCannotBeCut
from ollama_nb_server.prompts.truncation import cut_middle

PROMPT = tuple(range(10_000))


def cut(
    tokens: tuple[int, ...], num_ctx: int, num_keep: int = 4, *, shift: bool = True
) -> tuple[int, ...] | None:
    ends = tokens[:num_ctx] + tokens[-num_ctx:]  # the least that must be known
    wishes = {"num_ctx": num_ctx, "num_keep": num_keep, "add_bos": True, "shift": shift}
    return cut_middle(len(tokens), ends, **wishes)


def test_what_fits_stays_as_it_is() -> None:
    assert cut(PROMPT[:99], 100) is None


def test_the_reference_example() -> None:
    assert cut(PROMPT, 4096) == PROMPT[:5] + PROMPT[-2046:]


@pytest.mark.parametrize("num_keep", [-1, 0, 4, 50, 99, 100, 5000])
@pytest.mark.parametrize("num_ctx", [2, 4, 5, 100, 101])
def test_a_cut_prompt_always_leaves_room_for_an_answer(num_ctx: int, num_keep: int) -> None:
    assert 0 < len(cut(PROMPT, num_ctx, num_keep)) < num_ctx


def test_without_shift_it_is_an_error_that_names_the_numbers() -> None:
    with pytest.raises(PromptCannotBeCut) as caught:
        cut(PROMPT, 100, shift=False)

    assert (caught.value.num_tokens, caught.value.num_ctx) == (10_000, 100)
