"""The plain baseline: a loop of llama_decode and a native sampler chain, N sequences in a batch."""

from __future__ import annotations

import time
from pathlib import Path

import llama_cpp as ll

NUM_CTX = 1024


class BareLoop:
    """What the engine is held against: the same context settings, no server, no text."""

    def __init__(self, path: Path, streams: int, threads: int, *, flash: bool) -> None:
        self.streams = streams
        self.model = ll.llama_model_load_from_file(bytes(path), ll.llama_model_default_params())
        params = ll.llama_context_default_params()
        params.n_ctx, params.n_seq_max = NUM_CTX * streams, streams
        params.n_threads = params.n_threads_batch = threads
        params.kv_unified, params.no_perf = False, True
        kinds = ll.LLAMA_FLASH_ATTN_TYPE_DISABLED, ll.LLAMA_FLASH_ATTN_TYPE_ENABLED
        params.flash_attn_type = kinds[flash]
        self.context = ll.llama_init_from_model(self.model, params)
        self.memory = ll.llama_get_memory(self.context)
        self.batch = ll.llama_batch_init(512, 0, 1)

    def close(self) -> None:
        ll.llama_batch_free(self.batch)
        ll.llama_free(self.context)
        ll.llama_model_free(self.model)

    def run(self, prompt: list[int], num_tokens: int) -> float:
        """Tokens a second over `num_tokens` decode steps of all streams."""
        ll.llama_memory_clear(self.memory, True)
        chains = [self._chain(seed) for seed in range(self.streams)]
        tokens = [0] * self.streams
        for seq in range(self.streams):
            self._fill([(seq, pos, token) for pos, token in enumerate(prompt)], last=True)
            assert ll.llama_decode(self.context, self.batch) == 0
            tokens[seq] = ll.llama_sampler_sample(chains[seq], self.context, len(prompt) - 1)
        began = time.perf_counter()
        for step in range(num_tokens):
            pos = len(prompt) + step
            self._fill([(seq, pos, token) for seq, token in enumerate(tokens)], last=False)
            assert ll.llama_decode(self.context, self.batch) == 0
            for seq, chain in enumerate(chains):
                tokens[seq] = ll.llama_sampler_sample(chain, self.context, seq)
        took = time.perf_counter() - began
        for chain in chains:
            ll.llama_sampler_free(chain)
        return self.streams * num_tokens / took

    def _fill(self, rows: list[tuple[int, int, int]], *, last: bool) -> None:
        batch = self.batch
        batch.n_tokens = len(rows)
        for i, (seq, pos, token) in enumerate(rows):
            batch.token[i], batch.pos[i] = token, pos
            batch.n_seq_id[i], batch.seq_id[i][0] = 1, seq
            batch.logits[i] = not last or i == len(rows) - 1

    @staticmethod
    def _chain(seed: int) -> object:
        """Ollama's default options."""
        chain = ll.llama_sampler_chain_init(ll.llama_sampler_chain_default_params())
        for link in (
            ll.llama_sampler_init_top_k(40),
            ll.llama_sampler_init_top_p(0.9, 1),
            ll.llama_sampler_init_temp(0.8),
            ll.llama_sampler_init_dist(seed),
        ):
            ll.llama_sampler_chain_add(chain, link)
        return chain
