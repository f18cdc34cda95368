"""Contact with llama_cpp's ctypes bindings, second part: sampler chains.

What may be drawn is decided in `grammar` and `constraint`; logits are the context's (`native`).
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence

import llama_cpp as ll
import numpy as np

from ollama_nb_server.engine.messages import SamplingParams
from ollama_nb_server.engine.native import Context, Floats, Ints, Model
from ollama_nb_server.engine.spans import IMAGE_ROW

TOKEN_DATA = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])  # llama.h


class SamplerChain:
    """One request's chain, in the order of reference/ollama-models.md 9.2."""

    def __init__(self, model: Model, params: SamplingParams, num_ctx: int) -> None:
        self.pointer = ll.llama_sampler_chain_init(ll.llama_sampler_chain_default_params())
        for make in _links(model, params, num_ctx):
            ll.llama_sampler_chain_add(self.pointer, make())
        self.window = _window(params, num_ctx)

    def accept(self, tokens: Sequence[int]) -> None:
        """Show the chain the end of the prompt, which penalties count too; not images."""
        if self.window:
            shown = [token for token in tokens if token != IMAGE_ROW]
            for token in shown[-self.window :]:
                ll.llama_sampler_accept(self.pointer, token)

    def sample(self, context: Context, output: int) -> int:
        """Draw from the logits of the batch's token `output`, and accept what was drawn."""
        return int(ll.llama_sampler_sample(self.pointer, context.pointer, output))

    def choose(self, logits: Floats, tokens: Ints) -> int:
        """Draw from these tokens only, by their logits, and accept what was drawn.

        The chain sees an array of their number, so few of them cost little. One is not drawn at
        all: mirostat would divide by nothing.
        """
        token = int(tokens[0]) if len(tokens) == 1 else self.pick(logits, tokens)
        ll.llama_sampler_accept(self.pointer, token)
        return token

    def pick(self, logits: Floats, tokens: Ints) -> int:
        """Draw from these tokens without accepting."""
        array = candidates(logits, tokens)
        ll.llama_sampler_apply(self.pointer, ctypes.byref(array))
        return int(array.data[array.selected].id)

    def close(self) -> None:
        """Free the chain and its links."""
        if self.pointer:
            ll.llama_sampler_free(self.pointer)
            self.pointer = None


def candidates(logits: Floats, tokens: Ints) -> ll.llama_token_data_array:
    """The array that sampler chains work on; it keeps its memory alive."""
    data = np.zeros(len(tokens), TOKEN_DATA)
    data["id"], data["logit"] = tokens, logits[tokens]
    pointer = ctypes.cast(data.ctypes.data, ctypes.POINTER(ll.llama_token_data))
    array: ll.llama_token_data_array = ll.llama_token_data_array(pointer, len(tokens), -1, False)
    array.memory = data
    return array


def _window(params: SamplingParams, num_ctx: int) -> int:
    """How many of the last tokens penalties count: all of a context, or at most so many.

    llama.cpp makes room for as many as it is told, and goes through that at every token.
    """
    return num_ctx if params.repeat_last_n < 0 else min(params.repeat_last_n, num_ctx)


def _links(model: Model, params: SamplingParams, num_ctx: int) -> list[Callable[[], object]]:
    links: list[Callable[[], object]] = []
    last_n = _window(params, num_ctx)
    penalties = (params.repeat_penalty, params.frequency_penalty, params.presence_penalty)
    if last_n and penalties != (1.0, 0.0, 0.0):
        links.append(lambda: ll.llama_sampler_init_penalties(model.num_vocab, last_n, *penalties))
    if params.temperature <= 0:
        return [*links, ll.llama_sampler_init_greedy]
    if params.mirostat in (1, 2):
        return [
            *links,
            lambda: ll.llama_sampler_init_temp(params.temperature),
            _mirostat(model, params),
        ]
    return [*links, *_filters(params)]


def _filters(params: SamplingParams) -> list[Callable[[], object]]:
    links: list[Callable[[], object]] = []
    if params.top_k > 0:
        links.append(lambda: ll.llama_sampler_init_top_k(params.top_k))
    if params.typical_p < 1:
        links.append(lambda: ll.llama_sampler_init_typical(params.typical_p, 1))
    if params.top_p < 1:
        links.append(lambda: ll.llama_sampler_init_top_p(params.top_p, 1))
    if params.min_p > 0:
        links.append(lambda: ll.llama_sampler_init_min_p(params.min_p, 1))
    if params.temperature != 1:
        links.append(lambda: ll.llama_sampler_init_temp(params.temperature))
    return [*links, lambda: ll.llama_sampler_init_dist(params.seed)]


def _mirostat(model: Model, params: SamplingParams) -> Callable[[], object]:
    tau, eta, seed = params.mirostat_tau, params.mirostat_eta, params.seed
    if params.mirostat == 1:
        return lambda: ll.llama_sampler_init_mirostat(model.num_vocab, seed, tau, eta, 100)
    return lambda: ll.llama_sampler_init_mirostat_v2(seed, tau, eta)
