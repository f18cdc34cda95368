"""The verb score: how likely texts are behind prompts. It is ours: see docs/http-api.md."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ollama_nb_server.answering.app_context import AppContext
from ollama_nb_server.answering.context_need import least_ctx
from ollama_nb_server.answering.generation import Stopwatch, check_lengths, waits, warnings_for
from ollama_nb_server.answering.images import refuse_images
from ollama_nb_server.answering.preparation import (
    context_limit,
    find,
    lease,
    options_for,
    require_completion,
)
from ollama_nb_server.answering.prompt import literal_segments, text_guard
from ollama_nb_server.answering.prompting import chat_prompt, generate_prompt
from ollama_nb_server.answering.public_texts import public_text
from ollama_nb_server.engine.messages import Score, Segment, TextSegment
from ollama_nb_server.library.model import Model
from ollama_nb_server.scheduling.context import RequestContext
from ollama_nb_server.scheduling.lease import Lease
from ollama_nb_server.scheduling.runner import LOAD_OPTIONS
from ollama_nb_server.wire.chat import ChatRequest
from ollama_nb_server.wire.generate import GenerateRequest
from ollama_nb_server.wire.options import READERS, Options
from ollama_nb_server.wire.score import ScoreRequest, ScoreResponse

# What opens the answer of a gpt-oss model, whose prompts end before it is said what follows.
HARMONY_ANSWER = "<|channel|>final<|message|>"
OF_LOADING = frozenset({"num_ctx", "rope_frequency_base", "rope_frequency_scale"}) | LOAD_OPTIONS
OF_SCORES = OF_LOADING | {"num_thread", "seed"}


async def score(app: AppContext, request: ScoreRequest, context: RequestContext) -> ScoreResponse:
    """The log-probability of every choice behind every prompt. Nothing is cut to fit."""
    watch = Stopwatch()
    model = await find(app, context.caller, request.model)
    request.check()
    require_completion(model, request.model or "", "score")
    options = options_for(app, context, model, request.options)
    shown = [message.images or () for message in request.messages or ()]
    refuse_images(model, shown or [request.images or ()])
    asked = _asked(request)
    least = _least_ctx(request, asked, model, options)
    progress = app.progress(context)
    held = lease(app, context, model, options, request.keep_alive, progress.ticket, least)
    async with held as leased:
        warnings = warnings_for(leased, model.name.display, request.options)
        warnings += idle_options(request.options, OF_SCORES, "scores")
        prompts = [await _prompt(app, leased, model, each, options) for each in asked]
        public = await public_text(app, leased, model, asked[0], options)
        message = _message(app, leased, model, request, options, prompts)
        await check_lengths(leased, prompts, app.settings.sharing, message.choices)
        message = replace(message, salt=context.caller.salt, public=public)
        progress.waits_in(leased.place)
        async with leased.generating(progress.ticket) as ended:
            progress.reading()
            began_ns = time.perf_counter_ns()
            scored = await leased.worker.score(message, ended)
            took_ns = time.perf_counter_ns() - began_ns
        return ScoreResponse(
            request.model or "",
            time.time_ns(),
            request.choices or (),
            scored.tokens,
            tuple(np.frombuffer(row, "<f8") for row in scored.logprobs),
            total_duration=watch.elapsed_ns(),
            load_duration=leased.load_ns,
            prompt_eval_count=scored.prompt_count,
            eval_count=scored.eval_count,
            warnings=warnings,
            cached_tokens=scored.cached_count,
            waited=waits(leased),
            prompt_s=round(took_ns / 1e9, 6),
        )


def idle_options(
    request: Mapping[str, Any] | None, used: Collection[str], what: str
) -> tuple[str, ...]:
    """A sentence for each option that the verb does not use, though others do."""
    names = sorted(name for name in request or () if name in READERS and name not in used)
    return tuple(f"option {name!r} has no effect on {what}" for name in names)


def _message(
    app: AppContext,
    leased: Lease,
    model: Model,
    request: ScoreRequest,
    options: Options,
    prompts: list[tuple[Segment, ...]],
) -> Score:
    guard = text_guard(model, leased.info)
    return Score(
        leased.worker.new_id(),
        tuple(prompts),
        tuple(literal_segments(guard, choice) for choice in request.choices or ()),
        num_ctx=context_limit(options, leased.info),
        num_thread=options.num_thread,
        priority=leased.context.priority,
        reproducible=_reproducible(app, options),
    )


def _reproducible(app: AppContext, options: Options) -> bool:
    """Whether scores must not depend on who else is served; nothing is drawn, so as if greedy."""
    policy = app.settings.reproducible
    return policy == "always" or (policy != "never" and options.seed != -1)


def _asked(request: ScoreRequest) -> list[ChatRequest | GenerateRequest]:
    """What chat or generate would be asked for, a request a prompt; nothing is thought or cut."""
    if request.messages:
        messages = request.messages
        return [ChatRequest.model_construct(messages=messages, think=False, truncate=False)]
    fields = {name: getattr(request, name) for name in ("system", "template", "raw", "images")}
    return [
        GenerateRequest.model_construct(prompt=text, think=False, **fields)
        for text in request.texts
    ]


def _least_ctx(
    request: ScoreRequest,
    asked: list[ChatRequest | GenerateRequest],
    model: Model,
    options: Options,
) -> int:
    """Tokens that suffice for the longest prompt with the longest choice behind it."""
    longest = max(len(choice.encode("utf-8", "replace")) for choice in request.choices or ())
    behind = replace(options, num_predict=longest)
    return max(least_ctx(each, model, behind) for each in asked)


async def _prompt(
    app: AppContext,
    leased: Lease,
    model: Model,
    asked: ChatRequest | GenerateRequest,
    options: Options,
) -> tuple[Segment, ...]:
    """A prompt as the model reads it, up to where the answer itself begins."""
    if isinstance(asked, GenerateRequest):
        seen = (await generate_prompt(app, leased, model, asked)).seen
        return seen if asked.raw else _opened(model, seen)
    seen = (await chat_prompt(app, leased, model, asked, options)).seen
    goes_on = asked.messages and asked.messages[-1].role == "assistant"
    return seen if goes_on else _opened(model, seen)


def _opened(model: Model, prompt: tuple[Segment, ...]) -> tuple[Segment, ...]:
    """A prompt behind which an answer itself begins, whatever the model would say before it."""
    if model.parser != "harmony":
        return prompt
    *before, last = prompt
    if isinstance(last, TextSegment) and last.parse_special:
        return (*before, replace(last, text=last.text + HARMONY_ANSWER))
    return (*prompt, TextSegment(HARMONY_ANSWER))
