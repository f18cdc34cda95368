"""The verb chat: answer a conversation. Order of checks: reference/ollama-http-api.md 7.2."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from ollama_nb_server.answering.generation import Stopwatch, run, warnings_for
from ollama_nb_server.answering.preparation import (
    chat_template,
    context_limit,
    find,
    lease,
    merged_options,
    require,
    require_completion,
)
from ollama_nb_server.answering.refusals import (
    refuse_bad_format,
    refuse_images,
    refuse_logprobs,
    refuse_thinking,
    refuse_tools,
)
from ollama_nb_server.answering.rooms import Rooms
from ollama_nb_server.engine.messages import Delta
from ollama_nb_server.library.model import Model
from ollama_nb_server.prompts.conversation import Turn, kept_from, starting_points, with_model_turns
from ollama_nb_server.scheduling.scheduler import Lease
from ollama_nb_server.wire.chat import ChatRequest, ChatResponse, Message, Spoken
from ollama_nb_server.wire.fields import check_top_logprobs
from ollama_nb_server.wire.generate import DebugInfo
from ollama_nb_server.wire.options import Options


async def chat(rooms: Rooms, request: ChatRequest) -> ChatResponse | AsyncIterator[ChatResponse]:
    """Answer a chat request: one response, or a stream of them.

    Raises before anything has been generated wherever that is possible.
    """
    watch = Stopwatch()
    check_top_logprobs(request.top_logprobs)
    model = await find(rooms, request.model)
    if not request.messages and request.keep_alive is not None and request.keep_alive.unloads:
        rooms.scheduler.unload(str(model.weights))
        return _bare(request, "unload")
    _check(model, request)
    options = merged_options(rooms, model, request.options)
    if not request.messages:
        async with lease(rooms, model, options, request.keep_alive):
            return _bare(request, "load")
    if request.debug_render_only:
        async with lease(rooms, model, options, request.keep_alive) as leased:
            return _debug(request, await _prompt(leased, model, request, options))
    answer = _answer(rooms, request, model, options, watch)
    return answer if request.stream is not False else await _whole(answer)


def _check(model: Model, request: ChatRequest) -> None:
    refuse_thinking(model, request.model, request.think, debug=request.debug_render_only)
    require_completion(model, request.model or "", "chat")
    if request.tools:
        require(model, "tools")
    refuse_tools(request.tools, debug=request.debug_render_only)


async def _answer(
    rooms: Rooms, request: ChatRequest, model: Model, options: Options, watch: Stopwatch
) -> AsyncIterator[ChatResponse]:
    async with lease(rooms, model, options, request.keep_alive) as leased:
        prompt = await _prompt(leased, model, request, options)
        refuse_images(model, _images(request))
        refuse_bad_format(request.format)
        refuse_logprobs(request.logprobs)
        warnings = warnings_for(leased, request.options)
        async with aclosing(run(leased, prompt, options)) as events:
            async for event in events:
                if isinstance(event, Delta):
                    yield _chunk(request, event.text, warnings)
                    continue
                yield replace(
                    _chunk(request, "", warnings),
                    done=True,
                    done_reason=event.reason,
                    **asdict(watch.metrics(leased, event)),
                )


async def _prompt(leased: Lease, model: Model, request: ChatRequest, options: Options) -> str:
    """The conversation as the model reads it, its oldest turns dropped until it fits."""
    turns = with_model_turns(
        model.system,
        [Turn(m.get("role", ""), m.get("content", "")) for m in model.messages],
        [_turn(message) for message in request.messages or ()],
    )
    render = partial(
        chat_template(model, leased.info).render,
        tools=_tools(request),
        think=_think(model, request),
    )
    if request.truncate is False:
        return await asyncio.to_thread(render, turns)
    limit = context_limit(options, leased.info)
    starts = starting_points(turns)
    low, high, middle, fitting = 0, len(starts) - 1, 0, ""
    while low < high:  # the whole conversation first, then halves; the last turn always stays
        prompt = await asyncio.to_thread(render, kept_from(turns, starts[middle]))
        if await _fits(leased, prompt, limit):
            high, fitting = middle, prompt
        else:
            low = middle + 1
        middle = (low + high) // 2
    return fitting or await asyncio.to_thread(render, kept_from(turns, starts[high]))


async def _fits(leased: Lease, prompt: str, limit: int) -> bool:
    if len(prompt.encode()) <= limit:  # no token is shorter than a byte
        return True
    return len(await leased.worker.tokenize(prompt)) <= limit


def _turn(message: Message) -> Turn:
    return Turn(
        role=message.role or "",
        content=message.content or "",
        tool_calls=tuple(call.for_template() for call in message.tool_calls or ()),
        tool_name=message.tool_name or "",
        tool_call_id=message.tool_call_id or "",
    )


def _tools(request: ChatRequest) -> Sequence[dict[str, Any]]:
    return [tool.for_template() for tool in request.tools or ()]


def _think(model: Model, request: ChatRequest) -> bool | str | None:
    """A model that can think is asked to, unless the request says otherwise."""
    if request.think is None and "thinking" in model.capabilities:
        return True
    return request.think


def _images(request: ChatRequest) -> list[bytes]:
    return [image for message in request.messages or () for image in message.images or ()]


async def _whole(answer: AsyncIterator[ChatResponse]) -> ChatResponse:
    texts: list[str] = []
    async for chunk in answer:
        texts.append(chunk.message.content)
    return replace(chunk, message=Spoken("".join(texts)))


def _chunk(request: ChatRequest, text: str, warnings: tuple[str, ...] = ()) -> ChatResponse:
    return ChatResponse(request.model or "", time.time_ns(), Spoken(text), warnings=warnings)


def _bare(request: ChatRequest, reason: str) -> ChatResponse:
    return replace(_chunk(request, ""), done=True, done_reason=reason)


def _debug(request: ChatRequest, prompt: str) -> ChatResponse:
    info = DebugInfo(rendered_template=prompt, image_count=len(_images(request)))
    return replace(_chunk(request, ""), message=Spoken("", role=""), debug_info=info)
