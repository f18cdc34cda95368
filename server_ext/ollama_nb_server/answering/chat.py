"""The verb chat: answer a conversation. Order of checks: reference/ollama-http-api.md 7.2."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import asdict, replace
from functools import partial

from ollama_nb_server.answering.app_context import AppContext
from ollama_nb_server.answering.constraint import constraint
from ollama_nb_server.answering.generation import (
    NOTHING,
    FittedPrompt,
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
from ollama_nb_server.answering.output import Offer, OutputPlan, limited_thinking, output_plan
from ollama_nb_server.answering.preparation import (
    find,
    options_for,
    reproducible,
    require,
    require_completion,
    unload,
)
from ollama_nb_server.answering.progress import RequestProgress
from ollama_nb_server.answering.prompt import Prompt
from ollama_nb_server.answering.prompting import chat_prompt, may_shift, think_of
from ollama_nb_server.answering.public_texts import public_text
from ollama_nb_server.answering.refusals import refuse_budget, refuse_thinking
from ollama_nb_server.answering.styles import is_rendered
from ollama_nb_server.engine.messages import Segment
from ollama_nb_server.library.model import Model
from ollama_nb_server.prompts.parsing.parts import Call, Situation
from ollama_nb_server.prompts.truncation import Losses
from ollama_nb_server.scheduling.context import RequestContext
from ollama_nb_server.scheduling.lease import Lease
from ollama_nb_server.wire.chat import (
    AnsweredCall,
    AssistantMessage,
    ChatRequest,
    ChatResponse,
    Message,
)
from ollama_nb_server.wire.fields import check_top_logprobs
from ollama_nb_server.wire.generate import DebugInfo
from ollama_nb_server.wire.options import Options


async def chat(
    app: AppContext, request: ChatRequest, context: RequestContext
) -> ChatResponse | AnswerStream[ChatResponse]:
    """Answer a chat request: one response, or a stream of them.

    Raises before anything has been generated wherever that is possible.
    """
    watch = Stopwatch()
    check_top_logprobs(request.top_logprobs)
    model = await find(app, context.caller, request.model)
    if not request.messages and request.keep_alive is not None and request.keep_alive.unloads:
        unload(app, context, model)
        return _bare(request, "unload")
    offer = _check(model, request)
    options = options_for(app, context, model, request.options)
    job = Job(app, request, context, model, options, watch)
    if not request.messages:
        async with job.lease():
            return _bare(request, "load")
    if request.debug_render_only:
        async with job.lease() as leased:
            prompt = await chat_prompt(app, leased, model, request, options)
            losses = Losses(dropped=prompt.dropped)
            return _debug(request, prompt, loss_warnings(model.name.display, losses))
    progress = app.progress(context)
    answer = _answer(job, offer, progress)
    if request.stream is False:
        if not context.may_resume:
            return await _whole(answer)
        answer = _gathered(answer)
    beat = partial(_heartbeat, request, progress)
    return AnswerStream(answer, beat, app.settings.heartbeat_s)


def _check(model: Model, request: ChatRequest) -> Offer:
    refuse_thinking(model, request.model, request.think)
    refuse_budget(model, request.model, request.think, request.think_budget)
    require_completion(model, request.model or "", "chat")
    if request.tools:
        require(model, "tools")
    return Offer.of(request.tools, request.tool_choice)


async def _answer(
    job: Job[ChatRequest], offer: Offer, progress: RequestProgress
) -> AsyncGenerator[ChatResponse, None]:
    app, request, model, options = job.app, job.request, job.model, job.options
    refuse_images(model, [message.images or () for message in request.messages or ()])
    async with job.lease(progress) as leased:
        prompt = await chat_prompt(app, leased, model, request, options)
        public = await public_text(app, leased, model, request, options)
        params = replace(_params(job, offer, prompt), public=public)
        cut = await _cut(leased, model, request, options, prompt.seen)
        warnings = warnings_for(leased, model.name.display, request.options)
        losses = Losses(cut.truncation, prompt.dropped)
        warnings += loss_warnings(model.name.display, losses)
        calls, lost = _Calls(params.output), ""
        await check_length(leased, cut.segments, app.settings.sharing)
        async with aclosing(run(leased, cut.segments, options, params, progress)) as events:
            async for event in events:
                if isinstance(event, OutputChunk):
                    lost += event.lost
                    if event.is_news:
                        yield _chunk(request, event, warnings)
                    if told := calls.take(event.calls):
                        yield _called(_chunk(request, NOTHING, warnings), told)
                    continue
                warnings += lost_warnings(model.name.display, lost)
                yield replace(
                    _called(_chunk(request, NOTHING, warnings), calls.last()),
                    done=True,
                    done_reason=event.reason,
                    truncated=losses.truncated,
                    num_turns_dropped=losses.num_turns_dropped,
                    nb=last_extras(event, losses, warnings, waits(leased)),
                    **asdict(job.watch.metrics(leased, event)),
                )


class _Calls:
    """Numbers the calls of an answer, and keeps those that are told at its end."""

    def __init__(self, plan: OutputPlan) -> None:
        self._plan, self._count = plan, 0
        self._kept: tuple[AnsweredCall, ...] = ()

    def take(self, calls: Sequence[Call]) -> tuple[AnsweredCall, ...]:
        """Those that are told now."""
        told = tuple(self._numbered(call) for call in calls)
        if self._plan.calls_last:
            self._kept, told = self._kept + told, ()
        return told

    def last(self) -> tuple[AnsweredCall, ...]:
        """Those that are told with the last message."""
        return self._kept

    def _numbered(self, call: Call) -> AnsweredCall:
        self._count += 1
        own = call.id or self._plan.new_id()
        return AnsweredCall(own, self._count - 1, call.name, call.arguments)


def _called(response: ChatResponse, calls: tuple[AnsweredCall, ...]) -> ChatResponse:
    return replace(response, message=replace(response.message, tool_calls=calls))


async def _cut(
    leased: Lease,
    model: Model,
    request: ChatRequest,
    options: Options,
    prompt: tuple[Segment, ...],
) -> FittedPrompt:
    """A prompt whose last turn alone is too long, cut where that is the server's part."""
    if not is_rendered(model):
        return FittedPrompt(prompt)
    truncate, shift = request.truncate is not False, may_shift(model, request.shift)
    return await fitted(leased, prompt, options, truncate=truncate, shift=shift)


def _params(job: Job[ChatRequest], offer: Offer, prompt: Prompt) -> GenerationParams:
    request, model = job.request, job.model
    think = think_of(model, request.think)
    last = (request.messages or [Message()])[-1]
    goes_on = last.role == "assistant"
    situation = Situation(
        think=think,
        prefill=goes_on and bool(last.content),
        after_tool=last.role == "tool",
        after_assistant=goes_on,
        prefill_thinking=goes_on and bool(last.thinking) and not last.content,
    )
    output = output_plan(model, situation, offer, prompt.text, think=think, chat=True)
    return GenerationParams(
        output,
        shift=may_shift(model, request.shift),
        grammar=constraint(request.format, job.options, output),
        thinking=limited_thinking(model, output, request.think_budget),
        logprobs=num_logprobs(request.logprobs, request.top_logprobs),
        reproducible=reproducible(job.app, job.options),
    )


def _heartbeat(request: ChatRequest, progress: RequestProgress) -> ChatResponse:
    return replace(_chunk(request, NOTHING), nb=progress.extras())


async def _gathered(
    answer: AsyncGenerator[ChatResponse, None],
) -> AsyncGenerator[ChatResponse, None]:
    """A stream of one answer; its head is out with the first heartbeat, and with it its id."""
    async with aclosing(answer):
        yield await _whole(answer)


async def _whole(answer: AsyncIterator[ChatResponse]) -> ChatResponse:
    chunks = [chunk async for chunk in answer]
    spoken = AssistantMessage(
        "".join(chunk.message.content for chunk in chunks),
        thinking="".join(chunk.message.thinking for chunk in chunks),
        tool_calls=tuple(call for chunk in chunks for call in chunk.message.tool_calls),
    )
    logprobs = tuple(token for chunk in chunks for token in chunk.logprobs)
    return replace(chunks[-1], message=spoken, logprobs=logprobs)


def _chunk(request: ChatRequest, said: OutputChunk, warnings: tuple[str, ...] = ()) -> ChatResponse:
    return ChatResponse(
        request.model or "",
        time.time_ns(),
        AssistantMessage(said.answer, thinking=said.thinking),
        logprobs=said.logprobs,
        warnings=warnings,
    )


def _bare(request: ChatRequest, reason: str) -> ChatResponse:
    return replace(_chunk(request, NOTHING), done=True, done_reason=reason)


def _debug(request: ChatRequest, prompt: Prompt, warnings: tuple[str, ...]) -> ChatResponse:
    info = DebugInfo(rendered_template=prompt.text, image_count=len(prompt.images))
    bare = _chunk(request, NOTHING, warnings)
    return replace(bare, message=AssistantMessage("", role=""), debug_info=info)
