"""The steps with a worker in hand: fit the prompt, run it, count. For generate and chat."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from ollama_nb_server.answering.output import OutputPlan
from ollama_nb_server.answering.preparation import context_limit, sampling
from ollama_nb_server.answering.progress import RequestProgress
from ollama_nb_server.engine.messages import (
    AUTOMATIC,
    Delta,
    Finished,
    Generate,
    Grammar,
    ImageSegment,
    Progress,
    Segment,
    TextSegment,
    Thinking,
    TokenSegment,
)
from ollama_nb_server.engine.messages import Logprob as TokenLogprob
from ollama_nb_server.prompts.parsing.parts import Call, OutputBroken, Parts
from ollama_nb_server.prompts.truncation import Losses, Truncation, cut_middle
from ollama_nb_server.scheduling.lease import Lease
from ollama_nb_server.sharing import Sharing
from ollama_nb_server.wire.errors import PromptOverLimit
from ollama_nb_server.wire.extras import Extras, Waits
from ollama_nb_server.wire.logprobs import Logprob
from ollama_nb_server.wire.options import Options, without_effect

log = logging.getLogger(__name__)

NO_WAITS = Waits()
COUNTED_AT_ONCE = 64  # texts that are on their way to the worker
MAX_SHOWN = 200  # letters of a lost text in a warning


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


def warnings_for(leased: Lease, label: str, options: Mapping[str, Any] | None) -> tuple[str, ...]:
    """What the client should know and Ollama has no field for; the log gets one line of it."""
    found = [*without_effect(options), *_threads_warning(options, leased.info.num_processors)]
    if found:
        log.warning("%s: %s", label, ", ".join(found))
    return (*leased.warnings, *found)


def _threads_warning(options: Mapping[str, Any] | None, num_processors: int) -> Iterator[str]:
    wanted = (options or {}).get("num_thread") or 0
    if wanted > num_processors:
        yield f"option 'num_thread': this machine has {num_processors} processors"


def loss_warnings(label: str, losses: Losses) -> tuple[str, ...]:
    """What was asked and the model will not read, told to the client and to the log."""
    if losses.warnings:
        log.warning("%s: %s", label, ", ".join(losses.warnings))
    return losses.warnings


def lost_warnings(label: str, lost: str) -> tuple[str, ...]:
    """What of an answer Ollama's API has no place for."""
    if not lost.strip():
        return ()
    shown = lost.strip()[:MAX_SHOWN]
    said = (
        f"{len(lost)} letters of the answer are in none of its fields, as in Ollama, for they are "
        f"no whole call of an offered tool: {shown!r} (with tool_choice nothing is lost)"
    )
    log.warning("%s: %s", label, said)
    return (said,)


def waits(lease: Lease) -> Waits:
    """How long a request waited until it was its turn."""
    return Waits(round(lease.queue_ns / 1e9, 6), round(lease.loading_ns / 1e9, 6))


def last_extras(
    finished: Finished, losses: Losses, warnings: tuple[str, ...], waited: Waits = NO_WAITS
) -> Extras:
    """What the last message of an answer tells beyond Ollama's fields."""
    before, kept = losses.truncated or (0, 0)
    return Extras(
        warnings=warnings,
        cached_tokens=finished.cached_count,
        drafted_tokens=finished.drafted_count or None,
        accepted_tokens=finished.accepted_count if finished.drafted_count else None,
        truncated_tokens=before - kept,
        dropped_messages=losses.num_turns_dropped,
        queue_s=waited.queue_s,
        load_s=waited.load_s,
    )


@dataclass(frozen=True, slots=True)
class GenerationParams:
    """How a generation is to run, beside its options, and how what it says is read."""

    output: OutputPlan
    shift: bool = True
    grammar: Grammar | None = None
    thinking: Thinking | None = None
    logprobs: int = -1
    reproducible: bool = False
    public: tuple[Segment, ...] = ()


@dataclass(frozen=True, slots=True)
class OutputChunk:
    """New text of an answer: what is thought, answered and called, and all as the model wrote it.

    Text that may still become a tag is in none of them yet. `lost` is what Ollama has no place for.
    """

    thinking: str
    answer: str
    text: str
    logprobs: tuple[Logprob, ...] = ()
    calls: tuple[Call, ...] = ()
    lost: str = ""

    @classmethod
    def of(cls, parts: Parts, text: str, logprobs: tuple[Logprob, ...] = ()) -> OutputChunk:
        """What a piece of text turned out to be."""
        return cls(parts.thinking, parts.content, text, logprobs, parts.calls, parts.lost)

    @property
    def is_news(self) -> bool:
        """Whether there is anything to tell a client."""
        return bool(self.thinking or self.answer or self.logprobs)


NOTHING = OutputChunk("", "", "")


def num_logprobs(logprobs: bool | None, top: int | None) -> int:
    """How many alternatives are told with a token's probability; -1: not even that."""
    return (top or 0) if logprobs else -1


def told(tokens: Sequence[TokenLogprob]) -> tuple[Logprob, ...]:
    """Probabilities as a response tells them."""
    return tuple(Logprob(t.text, t.logprob, t.bytes, told(t.alternatives)) for t in tokens)


@dataclass(frozen=True, slots=True)
class FittedPrompt:
    """The prompt that fits, and what it lacks."""

    segments: tuple[Segment, ...]
    truncation: Truncation | None = None


def max_num_tokens(prompt: Sequence[Segment]) -> int:
    """As many tokens as a prompt may have at most beside images: none is shorter than a byte."""
    texts = [len(part.text.encode()) for part in prompt if isinstance(part, TextSegment)]
    return sum(texts) + sum(len(part.tokens) for part in prompt if isinstance(part, TokenSegment))


async def fitted(
    lease: Lease, prompt: tuple[Segment, ...], options: Options, *, truncate: bool, shift: bool
) -> FittedPrompt:
    """The prompt as it is if it fits or has images, else token ids with the middle cut out."""
    num_ctx = context_limit(options, lease.info)
    sees = any(isinstance(segment, ImageSegment) for segment in prompt)
    if sees or not truncate or max_num_tokens(prompt) < num_ctx:
        return FittedPrompt(prompt)
    count, tokens = await lease.worker.ends(prompt, num_ctx)
    cut = cut_middle(
        count,
        tokens,
        num_ctx=num_ctx,
        num_keep=options.num_keep,
        add_bos=lease.info.add_bos,
        shift=shift,
    )
    if cut is None:
        return FittedPrompt(prompt)
    return FittedPrompt((TokenSegment(cut.tokens),), cut.truncation)


async def check_length(lease: Lease, prompt: Sequence[Segment], sharing: Sharing) -> None:
    """Refuse a user's prompt that is longer than allowed, images aside.

    Raises
    ------
    PromptOverLimit
    """
    await check_lengths(lease, [prompt], sharing)


async def check_lengths(
    lease: Lease,
    prompts: Sequence[Sequence[Segment]],
    sharing: Sharing,
    behind: Sequence[Sequence[Segment]] = (),
) -> None:
    """Refuse a user's prompts where one is longer than allowed with the longest text behind it.

    Raises
    ------
    PromptOverLimit
    """
    most = sharing.max_prompt_tokens
    if not most or lease.context.caller.manages:
        return
    longest = max(map(max_num_tokens, behind), default=0)
    doubtful = [each for each in prompts if max_num_tokens(each) + longest > most]
    if doubtful:
        longest = max(await _counts(lease, behind), default=0)
        count = max(await _counts(lease, doubtful)) + longest
        if count > most:
            raise PromptOverLimit(count, most, sharing.contact)


async def _counts(lease: Lease, prompts: Sequence[Sequence[Segment]]) -> list[int]:
    """How many tokens texts have, some of them asked at a time."""
    texts = [tuple(p for p in each if not isinstance(p, ImageSegment)) for each in prompts]
    counts: list[int] = []
    for at in range(0, len(texts), COUNTED_AT_ONCE):
        counts += await asyncio.gather(*map(lease.worker.count, texts[at : at + COUNTED_AT_ONCE]))
    return counts


async def run(
    lease: Lease,
    prompt: tuple[Segment, ...],
    options: Options,
    params: GenerationParams,
    progress: RequestProgress,
) -> AsyncGenerator[OutputChunk | Finished, None]:
    """What the model says, step by step; the last is Finished. Closing this stops its work."""
    worker = lease.worker
    request = Generate(
        id=worker.new_id(),
        prompt=prompt,
        sampling=sampling(options),
        num_predict=options.num_predict,
        num_ctx=context_limit(options, lease.info),
        stop=tuple(options.stop),
        shift=params.shift,
        num_keep=options.num_keep,
        grammar=params.grammar,
        logprobs=params.logprobs,
        num_thread=options.num_thread,
        priority=lease.context.priority,
        reproducible=params.reproducible,
        tags=params.output.tags,
        thinking=params.thinking,
        num_draft=max(options.draft_num_predict, AUTOMATIC),
        salt=lease.context.caller.salt,
        public=params.public,
    )
    parser = params.output.parser
    progress.waits_in(lease.place)
    async with (
        lease.generating(progress.ticket) as turn,
        aclosing(worker.generate(replace(request, newcomer=turn.is_newcomer), turn)) as events,
    ):
        async for event in events:
            if isinstance(event, Progress):
                progress.prompt_computed(event.num_computed, event.num_prompt)
            elif isinstance(event, Delta):
                progress.answering()
                turn.wrote()
                try:
                    parts = parser.feed(event.text)
                except OutputBroken as error:
                    yield OutputChunk.of(error.before, event.text, told(event.logprobs))
                    raise
                yield OutputChunk.of(parts, event.text, told(event.logprobs))
            else:
                finished = event
    yield OutputChunk.of(parser.end(), "")
    yield finished  # by now the next request may run
