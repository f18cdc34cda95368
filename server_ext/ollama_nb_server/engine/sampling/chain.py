"""Contact with llama_cpp's ctypes bindings, second part: sampler chains.

What may be drawn is decided in `grammars.grammar` and `grammars.constraint`; logits are the
context's (`native`).
"""

from __future__ import annotations

import ctypes
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import llama_cpp as ll
import numpy as np

from ollama_nb_server.engine.messages import SamplingParams
from ollama_nb_server.engine.native import Context, Floats, Ints, Model
from ollama_nb_server.engine.sampling.shortlist import allowed, shortlist
from ollama_nb_server.engine.spans import IMAGE_ROW

LARGE_VOCABULARY = 40_000  # a smaller one is sooner gone through than shortened
TOKEN_DATA = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])  # llama.h


class SamplerChain:
    """One request's chain, in the order of reference/ollama-models.md 9.2.

    Where it keeps only the `num_kept` likeliest tokens (0: it sees all), it is shown a short list
    of a large vocabulary, and draws what it would have drawn from all. A draw that goes through all
    of one `is_long`.
    """

    def __init__(self, model: Model, params: SamplingParams, num_ctx: int) -> None:
        self.window = _window(params, num_ctx)
        self._penalties = [make() for make in _penalties(model, params, self.window)]
        self._filters = [make() for make in _filters(model, params)]
        self.pointer = ll.llama_sampler_chain_init(ll.llama_sampler_chain_default_params())
        for link in (*self._penalties, *self._filters):
            ll.llama_sampler_chain_add(self.pointer, link)
        self._recent: deque[int] = deque(maxlen=self.window if self._penalties else 0)
        self._greedy = params.temperature <= 0
        large = model.num_vocab >= LARGE_VOCABULARY
        self.num_kept = _num_kept(params) if large else 0
        self._sort = ll.llama_sampler_init_top_k(self.num_kept + 1)
        self._looks = self.num_kept > 0 or (self._greedy and not self._penalties)
        self.is_long = large and not self._looks

    def accept(self, tokens: Sequence[int]) -> None:
        """Show the chain the end of the prompt, which penalties count too; not images."""
        if self._penalties:
            shown = [token for token in tokens if token != IMAGE_ROW]
            for token in shown[-self.window :]:
                self._accept(token)

    def _accept(self, token: int) -> None:
        self._recent.append(token)
        if self._penalties:  # the others learn nothing of it
            ll.llama_sampler_accept(self.pointer, token)

    def sample(self, context: Context, output: int) -> int:
        """Draw from the logits of the batch's token `output`, and accept what was drawn."""
        token = self.likely(context.logits(output)) if self._looks else None
        if token is None:
            token = int(ll.llama_sampler_sample(self.pointer, context.pointer, output))
            self._recent.append(token)
        else:
            self._accept(token)
        return token

    def choose(self, logits: Floats, tokens: Ints) -> int:
        """Draw from these tokens only, by their logits, and accept what was drawn.

        The chain sees an array of their number, so few of them cost little. One is not drawn at
        all: mirostat would divide by nothing.
        """
        token = int(tokens[0]) if len(tokens) == 1 else self.pick(logits, tokens)
        self._accept(token)
        return token

    def pick(self, logits: Floats, tokens: Ints) -> int:
        """Draw from these tokens without accepting."""
        array = candidates(logits, tokens)
        return _drawn(array, [self.pointer])

    def likely(self, logits: Floats, mask: Ints | None = None) -> int | None:
        """Draw from a short list without accepting; with a mask, only what has its bit set there.

        None, and nothing is drawn, where the outcome might not be the whole chain's.
        """
        if self._greedy and not self._penalties and mask is None:
            return int(logits.argmax())  # of equals the first one, as llama.cpp
        tokens = self._shortlist(logits, mask) if self.num_kept else None
        return None if tokens is None else self._of_few(logits, tokens)

    def _shortlist(self, logits: Floats, mask: Ints | None) -> Ints | None:
        """All that can be among the likeliest once penalties have moved the tokens they count.

        So many may fall behind, or rise from anywhere.
        """
        moved = set(self._recent)
        count = self.num_kept + len(moved)
        tokens = shortlist(logits, count, moved)
        if tokens is None or mask is None:
            return tokens
        tokens = allowed(tokens, mask)
        return tokens if len(tokens) >= count else None

    def _of_few(self, logits: Floats, tokens: Ints) -> int | None:
        array = candidates(logits, tokens)
        _apply(self._penalties, array)
        if not self._greedy:
            _apply([self._sort], array)
            likeliest = array.memory["logit"][: array.size]
            if (likeliest[1:] == likeliest[:-1]).any():
                return None  # the order of equals depends on all others
        return _drawn(array, self._filters)

    def close(self) -> None:
        """Free the chain and its links."""
        if self.pointer:
            ll.llama_sampler_free(self.pointer)
            ll.llama_sampler_free(self._sort)
            self.pointer = None


def _apply(links: Sequence[Any], array: ll.llama_token_data_array) -> None:
    for link in links:
        ll.llama_sampler_apply(link, ctypes.byref(array))


def _drawn(array: ll.llama_token_data_array, links: Sequence[Any]) -> int:
    _apply(links, array)
    return int(array.data[array.selected].id)


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


def _penalties(model: Model, params: SamplingParams, last_n: int) -> list[Callable[[], Any]]:
    penalties = (params.repeat_penalty, params.frequency_penalty, params.presence_penalty)
    if not last_n or penalties == (1.0, 0.0, 0.0):
        return []
    return [lambda: ll.llama_sampler_init_penalties(model.num_vocab, last_n, *penalties)]


def _num_kept(params: SamplingParams) -> int:
    """How many tokens, the likeliest, go beyond the chain's first filter; 0: any number."""
    if params.temperature <= 0:
        return 1
    return 0 if params.mirostat in (1, 2) else max(params.top_k, 0)


def _filters(model: Model, params: SamplingParams) -> list[Callable[[], Any]]:
    if params.temperature <= 0:
        return [ll.llama_sampler_init_greedy]
    if params.mirostat in (1, 2):
        return [
            lambda: ll.llama_sampler_init_temp(params.temperature),
            _mirostat(model, params),
        ]
    links: list[Callable[[], Any]] = []
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


def _mirostat(model: Model, params: SamplingParams) -> Callable[[], Any]:
    tau, eta, seed = params.mirostat_tau, params.mirostat_eta, params.seed
    if params.mirostat == 1:
        return lambda: ll.llama_sampler_init_mirostat(model.num_vocab, seed, tau, eta, 100)
    return lambda: ll.llama_sampler_init_mirostat_v2(seed, tau, eta)
