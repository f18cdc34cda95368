"""The window of penalties: at most the context, whatever was asked for."""

from __future__ import annotations

import llama_cpp as ll
import pytest
from ollama_nb_server.engine.messages import SamplingParams
from ollama_nb_server.engine.native import Model
from ollama_nb_server.engine.sampling.chain import SamplerChain
from ollama_nb_server.engine.spans import IMAGE_ROW

NUM_CTX = 256


@pytest.mark.parametrize(
    ("asked", "window"),
    [(-1, NUM_CTX), (2**31 - 1, NUM_CTX), (NUM_CTX + 1, NUM_CTX), (64, 64), (0, 0)],
)
def test_the_window_ends_with_the_context(demo_model: Model, asked: int, window: int) -> None:
    params = SamplingParams(seed=1, repeat_penalty=1.1, repeat_last_n=asked)
    chain = SamplerChain(demo_model, params, NUM_CTX)

    assert chain.window == window
    chain.close()


def test_rows_of_images_are_no_tokens_that_penalties_count(
    demo_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[int] = []
    monkeypatch.setattr(ll, "llama_sampler_accept", lambda _, token: counted.append(token))
    params = SamplingParams(seed=1, repeat_last_n=3, repeat_penalty=1.5)
    chain = SamplerChain(demo_model, params, num_ctx=64)

    chain.accept([4, 5, 6, *[IMAGE_ROW] * 8, 7])

    assert counted == [5, 6, 7]
    chain.close()
