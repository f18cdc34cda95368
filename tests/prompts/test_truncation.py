from __future__ import annotations

import pytest
from ollama_nb_server.prompts.errors import PromptCannotBeCut
from ollama_nb_server.prompts.truncation import (
    CutPrompt,
    DroppedTurns,
    Losses,
    Truncation,
    cut_middle,
)

PROMPT = tuple(range(10_000))


def cut(
    tokens: tuple[int, ...], num_ctx: int, num_keep: int = 4, *, shift: bool = True
) -> CutPrompt | None:
    ends = tokens[:num_ctx] + tokens[-num_ctx:]  # the least that must be known
    wishes = {"num_ctx": num_ctx, "num_keep": num_keep, "add_bos": True, "shift": shift}
    return cut_middle(len(tokens), ends, **wishes)


def test_what_fits_stays_as_it_is() -> None:
    assert cut(PROMPT[:99], 100) is None


def test_the_reference_example() -> None:
    fitted = cut(PROMPT, 4096)

    assert fitted == CutPrompt(PROMPT[:5] + PROMPT[-2046:], Truncation(10_000, 2051, 4096))


@pytest.mark.parametrize("num_keep", [-1, 0, 4, 50, 99, 100, 5000])
@pytest.mark.parametrize("num_ctx", [2, 4, 5, 100, 101])
def test_a_cut_prompt_always_leaves_room_for_an_answer(num_ctx: int, num_keep: int) -> None:
    fitted = cut(PROMPT, num_ctx, num_keep)

    assert fitted is not None
    assert 0 < len(fitted.tokens) < num_ctx
    assert fitted.truncation == Truncation(10_000, len(fitted.tokens), num_ctx)


def test_without_shift_it_is_an_error_that_names_the_numbers() -> None:
    with pytest.raises(PromptCannotBeCut) as caught:
        cut(PROMPT, 100, shift=False)

    assert (caught.value.num_tokens, caught.value.num_ctx) == (10_000, 100)


def test_losses_are_told_in_sentences_and_figures() -> None:
    losses = Losses(Truncation(5012, 186, 256), DroppedTurns(21, 5, 256))

    assert losses.warnings == (
        "the oldest 5 of 21 messages were left out, for a context of 256 tokens (raise num_ctx to "
        "keep all)",
        "the prompt was cut in its middle: 186 of 5012 tokens were kept, for a context of 256 "
        "(raise num_ctx to keep all)",
    )
    assert (losses.truncated, losses.num_turns_dropped) == ((5012, 186), 5)


def test_nothing_is_told_where_nothing_is_lost() -> None:
    assert Losses().warnings == ()
    assert (Losses().truncated, Losses().num_turns_dropped) == (None, 0)
