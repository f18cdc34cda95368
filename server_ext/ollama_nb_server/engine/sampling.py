"""Contact with llama_cpp's ctypes bindings, second part: sampler chains.

What may be drawn is decided in `grammar` and `constraint`; logits are the context's (`native`).
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence

import llama_cpp as ll
import numpy as np

from ollama_nb_server.engine.messages import Sampling
from ollama_nb_server.engine.native import Context, Floats, Ints, Model

TOKEN_DATA = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])  # llama.h


class Sampler:
    """One request's chain, in the order of reference/ollama-models.md 9.2."""

    def __init__(self, model: Model, wish: Sampling, num_ctx: int) -> None:
        self.pointer = ll.llama_sampler_chain_init(ll.llama_sampler_chain_default_params())
        for make in _links(model, wish, num_ctx):
            ll.llama_sampler_chain_add(self.pointer, make())
        self.window = num_ctx if wish.repeat_last_n < 0 else wish.repeat_last_n

    def accept(self, tokens: Sequence[int]) -> None:
        """Show the chain the end of the prompt, which penalties count too."""
        if self.window:
            for token in tokens[-self.window :]:
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


def _links(model: Model, wish: Sampling, num_ctx: int) -> list[Callable[[], object]]:
    links: list[Callable[[], object]] = []
    last_n = num_ctx if wish.repeat_last_n < 0 else wish.repeat_last_n
    penalties = (wish.repeat_penalty, wish.frequency_penalty, wish.presence_penalty)
    if last_n and penalties != (1.0, 0.0, 0.0):
        links.append(lambda: ll.llama_sampler_init_penalties(model.num_vocab, last_n, *penalties))
    if wish.temperature <= 0:
        return [*links, ll.llama_sampler_init_greedy]
    if wish.mirostat in (1, 2):
        return [
            *links,
            lambda: ll.llama_sampler_init_temp(wish.temperature),
            _mirostat(model, wish),
        ]
    return [*links, *_filters(wish)]


def _filters(wish: Sampling) -> list[Callable[[], object]]:
    links: list[Callable[[], object]] = []
    if wish.top_k > 0:
        links.append(lambda: ll.llama_sampler_init_top_k(wish.top_k))
    if wish.typical_p < 1:
        links.append(lambda: ll.llama_sampler_init_typical(wish.typical_p, 1))
    if wish.top_p < 1:
        links.append(lambda: ll.llama_sampler_init_top_p(wish.top_p, 1))
    if wish.min_p > 0:
        links.append(lambda: ll.llama_sampler_init_min_p(wish.min_p, 1))
    if wish.temperature != 1:
        links.append(lambda: ll.llama_sampler_init_temp(wish.temperature))
    return [*links, lambda: ll.llama_sampler_init_dist(wish.seed)]


def _mirostat(model: Model, wish: Sampling) -> Callable[[], object]:
    tau, eta, seed = wish.mirostat_tau, wish.mirostat_eta, wish.seed
    if wish.mirostat == 1:
        return lambda: ll.llama_sampler_init_mirostat(model.num_vocab, seed, tau, eta, 100)
    return lambda: ll.llama_sampler_init_mirostat_v2(seed, tau, eta)
