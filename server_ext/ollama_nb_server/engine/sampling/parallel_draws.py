"""Draws that go through a whole vocabulary: several of one step, each in a thread of its own.

They take a millisecond and more each, and ctypes lets threads run meanwhile. Draws from a short
list are sooner done than handed to a thread. What follows from a token is `model_runner`'s affair.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property

from ollama_nb_server.engine.errors import DecodeFailed
from ollama_nb_server.engine.native import Context
from ollama_nb_server.engine.sampling.chain import SamplerChain


class ParallelDraws:
    """Threads for the draws of one context; a processor each, and none where there is one only."""

    def __init__(self, context: Context, num_processors: int) -> None:
        self._context, self._num_processors = context, num_processors

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self._num_processors, "draws")

    def drawn(self, rows: Sequence[tuple[SamplerChain, int]]) -> dict[int, int]:
        """The token of each row, by the batch's token that it comes behind.

        Rows are left out, to be drawn one after another, where threads do not pay, or where a draw
        has failed: it fails again in its sequence's turn.
        """
        if len(rows) < 2 or self._num_processors < 2:
            return {}
        try:
            self._context.logits(rows[0][1])  # the first read reorders all rows, others only read
        except DecodeFailed:
            return {}
        draws = [(output, self._submitted(chain, output)) for chain, output in rows]
        return {output: draw.result() for output, draw in draws if not draw.exception()}

    def _submitted(self, chain: SamplerChain, output: int) -> Future[int]:
        return self._pool.submit(chain.sample, self._context, output)
