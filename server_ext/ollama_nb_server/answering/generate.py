"""The verb generate: continue a prompt. Order of checks: reference/ollama-http-api.md 6.2."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import asdict, replace
from functools import partial

from ollama_nb_server.answering.app_context import AppContext
from ollama_nb_server.answering.constraint import constraint
from ollama_nb_server.answering.generation import (
    NOTHING,
    GenerationParams,
    OutputChunk,
    Stopwatch,
    check_length,
    fitted,
    last_extras,
    loss_warnings,
    lost_warnings,
    num_logprobs,
    run,
    waits,
    warnings_for,
)
from ollama_nb_server.answering.heartbeat import AnswerStream
from ollama_nb_server.answering.images import refuse_images
from ollama_nb_server.answering.job import Job
from ollama_nb_server.answering.output import Offer, limited_thinking, output_plan
from ollama_nb_server.answering.preparation import (
    find,
    options_for,
    reproducible,
    require_completion,
    unload,
)
from ollama_nb_server.answering.progress import RequestProgress
from ollama_nb_server.answering.prompt import Prompt
from ollama_nb_server.answering.prompting import generate_prompt, may_shift, think_of
from ollama_nb_server.answering.public_texts import public_text
from ollama_nb_server.answering.refusals import refuse_budget, refuse_thinking
from ollama_nb_server.answering.styles import template_of
from ollama_nb_server.library.model import Model
from ollama_nb_server.prompts.parsing.parts import Situation
from ollama_nb_server.prompts.truncation import Losses
from ollama_nb_server.scheduling.context import RequestContext
from ollama_nb_server.scheduling.lease import Lease
from ollama_nb_server.wire.errors import RawConflict
from ollama_nb_server.wire.fields import check_top_logprobs
from ollama_nb_server.wire.generate import DebugInfo, GenerateRequest, GenerateResponse


async def generate(
    app: AppContext, request: GenerateRequest, context: RequestContext
) -> GenerateResponse | AnswerStream[GenerateResponse]:
    """Answer a generate request: one response, or a stream of them.

    Raises before anything has been generated wherever that is possible.
    """
    watch = Stopwatch()
    check_top_logprobs(request.top_logprobs)
    model = await find(app, context.caller, request.model)
    if not request.prompt and request.keep_alive is not None and request.keep_alive.unloads:
        unload(app, context, model)
        return _bare(request, "unload")
    _check(model, request)
    options = options_for(app, context, model, request.options)
    job = Job(app, request, context, model, options, watch)
    if not request.prompt:
        async with job.lease():
            return _bare(request, "load")
    if request.debug_render_only:
        async with job.lease() as leased:
            prompt = await generate_prompt(app, leased, model, request)
            return _debug(request, prompt)
    progress = app.progress(context)
    answer = _answer(job, progress)
    if request.stream is False:
        if not context.may_resume:
            return await _whole(answer)
        answer = _gathered(answer)
    beat = partial(_heartbeat, request, progress)
    return AnswerStream(answer, beat, app.settings.heartbeat_s)


def _check(model: Model, request: GenerateRequest) -> None:
    if request.raw and (request.template or request.system or request.context):
        raise RawConflict
    refuse_thinking(model, request.model, request.think)
    refuse_budget(model, request.model, request.think, request.think_budget)
    require_completion(model, request.model or "", "generate")


async def _answer(
    job: Job[GenerateRequest], progress: RequestProgress
) -> AsyncGenerator[GenerateResponse, None]:
    app, request, model, options = job.app, job.request, job.model, job.options
    refuse_images(model, [request.images or ()])
    async with job.lease(progress) as leased:
        prompt = await generate_prompt(app, leased, model, request)
        public = await public_text(app, leased, model, request, options)
        params = replace(_params(job, prompt.text), public=public)
        warnings = warnings_for(leased, model.name.display, request.options)
        truncate = request.truncate is not False
        cut = await fitted(leased, prompt.seen, options, truncate=truncate, shift=params.shift)
        losses = Losses(cut.truncation)
        warnings += loss_warnings(model.name.display, losses)
        texts: list[str] = []
        lost = ""
        await check_length(leased, cut.segments, app.settings.sharing)
        async with aclosing(run(leased, cut.segments, options, params, progress)) as events:
            async for event in events:
                if isinstance(event, OutputChunk):
                    texts.append(event.text)
                    lost += event.lost + "".join(call.name for call in event.calls)
                    if event.is_news:
                        yield _chunk(request, event, warnings)
                    continue
                warnings += lost_warnings(model.name.display, lost)
                ids = await _context(job, leased, prompt, "".join(texts))
                yield replace(
                    _chunk(request, NOTHING, warnings),
                    done=True,
                    done_reason=event.reason,
                    context=ids,
                    truncated=losses.truncated,
                    nb=last_extras(event, losses, warnings, waits(leased)),
                    **asdict(job.watch.metrics(leased, event)),
                )


def _params(job: Job[GenerateRequest], prompt: str) -> GenerationParams:
    request, model = job.request, job.model
    think = think_of(model, request.think)
    situation = Situation(think=request.think)  # as in Ollama: its default does not reach parsers
    output = output_plan(
        model, situation, Offer(), prompt, think=think, chat=False, raw=bool(request.raw)
    )
    return GenerationParams(
        output,
        shift=may_shift(model, request.shift),
        grammar=constraint(request.format, job.options, output),
        thinking=limited_thinking(model, output, request.think_budget),
        logprobs=num_logprobs(request.logprobs, request.top_logprobs),
        reproducible=reproducible(job.app, job.options),
    )


async def _context(
    job: Job[GenerateRequest], leased: Lease, prompt: Prompt, answer: str
) -> list[int] | None:
    """Token ids of prompt and answer, for the next request's `context`; raw requests get none."""
    if job.request.raw:
        return None
    run = partial(job.app.templates.run, template_of(job.model))
    return list(await leased.worker.tokenize(await run(partial(prompt.with_answer, answer))))


def _heartbeat(request: GenerateRequest, progress: RequestProgress) -> GenerateResponse:
    return replace(_chunk(request, NOTHING), nb=progress.extras())


async def _gathered(
    answer: AsyncGenerator[GenerateResponse, None],
) -> AsyncGenerator[GenerateResponse, None]:
    """A stream of one answer; its head is out with the first heartbeat, and with it its id."""
    async with aclosing(answer):
        yield await _whole(answer)


async def _whole(answer: AsyncIterator[GenerateResponse]) -> GenerateResponse:
    chunks = [chunk async for chunk in answer]
    return replace(
        chunks[-1],
        response="".join(chunk.response for chunk in chunks),
        thinking="".join(chunk.thinking for chunk in chunks),
        logprobs=tuple(token for chunk in chunks for token in chunk.logprobs),
    )


def _chunk(
    request: GenerateRequest, said: OutputChunk, warnings: tuple[str, ...] = ()
) -> GenerateResponse:
    return GenerateResponse(
        request.model or "",
        time.time_ns(),
        said.answer,
        thinking=said.thinking,
        logprobs=said.logprobs,
        warnings=warnings,
    )


def _bare(request: GenerateRequest, reason: str) -> GenerateResponse:
    return replace(_chunk(request, NOTHING), done=True, done_reason=reason)


def _debug(request: GenerateRequest, prompt: Prompt) -> GenerateResponse:
    info = DebugInfo(rendered_template=prompt.text, image_count=len(prompt.images))
    return replace(_chunk(request, NOTHING), debug_info=info)
