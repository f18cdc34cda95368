"""The steps with a worker in hand: fit the prompt, run it, count. For generate and chat."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from ollama_nb_server.answering.preparation import context_limit, sampling
from ollama_nb_server.engine.messages import Delta, Finished, Generate
from ollama_nb_server.engine.process import Worker
from ollama_nb_server.prompts.truncation import cut_middle
from ollama_nb_server.scheduling.scheduler import Lease
from ollama_nb_server.wire.options import Options, without_effect


@dataclass(frozen=True, slots=True)
class Metrics:
    """What the last chunk of an answer tells: nanoseconds and tokens."""

    total_duration: int
    load_duration: int
    prompt_eval_count: int
    prompt_eval_duration: int
    eval_count: int
    eval_duration: int


class Stopwatch:
    """Time since a request arrived."""

    def __init__(self) -> None:
        self._began_ns = time.perf_counter_ns()

    def elapsed_ns(self) -> int:
        """Nanoseconds until now."""
        return time.perf_counter_ns() - self._began_ns

    def metrics(self, lease: Lease, finished: Finished) -> Metrics:
        """The whole request's figures, the load's from the lease, the rest from the worker."""
        return Metrics(
            total_duration=self.elapsed_ns(),
            load_duration=lease.load_ns,
            prompt_eval_count=finished.prompt_count,
            prompt_eval_duration=finished.prompt_ns,
            eval_count=finished.eval_count,
            eval_duration=finished.eval_ns,
        )


def warnings_for(leased: Lease, options: Mapping[str, Any] | None) -> tuple[str, ...]:
    """What the client should know and Ollama has no field for."""
    return (*leased.info.warnings, *without_effect(options))


async def fitted(
    lease: Lease, prompt: str, options: Options, *, truncate: bool, shift: bool
) -> str | tuple[int, ...]:
    """The prompt as it is if it fits, else its token ids with the middle cut out."""
    num_ctx = context_limit(options, lease.info)
    if not truncate or len(prompt.encode()) < num_ctx:  # no token is shorter than a byte
        return prompt
    tokens = await lease.worker.tokenize(prompt, add_special=True)
    cut = cut_middle(
        tokens,
        num_ctx=num_ctx,
        num_keep=options.num_keep,
        add_bos=lease.info.add_bos,
        shift=shift,
    )
    return prompt if cut is tokens else cut


async def run(
    lease: Lease, prompt: str | tuple[int, ...], options: Options
) -> AsyncGenerator[Delta | Finished, None]:
    """What the worker says, step by step. Closing this generator stops the worker's work."""
    worker: Worker = lease.worker
    request = Generate(
        id=worker.new_id(),
        prompt=prompt,
        sampling=sampling(options),
        num_predict=options.num_predict,
        num_ctx=context_limit(options, lease.info),
        stop=tuple(options.stop),
    )
    async with aclosing(worker.generate(request)) as events:
        async for event in events:
            yield event
