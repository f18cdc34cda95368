"""The verb generate: continue a prompt. Order of checks: reference/ollama-http-api.md 6.2."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import asdict, replace

from ollama_nb_server.answering.generation import Stopwatch, fitted, run, warnings_for
from ollama_nb_server.answering.preparation import (
    chat_template,
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
)
from ollama_nb_server.answering.rooms import Rooms
from ollama_nb_server.engine.messages import Delta
from ollama_nb_server.library.model import Model
from ollama_nb_server.prompts.conversation import Turn, with_model_turns
from ollama_nb_server.scheduling.scheduler import Lease
from ollama_nb_server.wire.errors import NotThereYet, RawConflict
from ollama_nb_server.wire.fields import check_top_logprobs
from ollama_nb_server.wire.generate import DebugInfo, GenerateRequest, GenerateResponse
from ollama_nb_server.wire.options import Options


async def generate(
    rooms: Rooms, request: GenerateRequest
) -> GenerateResponse | AsyncIterator[GenerateResponse]:
    """Answer a generate request: one response, or a stream of them.

    Raises before anything has been generated wherever that is possible.
    """
    watch = Stopwatch()
    check_top_logprobs(request.top_logprobs)
    model = await find(rooms, request.model)
    if not request.prompt and request.keep_alive is not None and request.keep_alive.unloads:
        rooms.scheduler.unload(str(model.weights))
        return _bare(request, "unload")
    _check(model, request)
    options = merged_options(rooms, model, request.options)
    if not request.prompt:
        async with lease(rooms, model, options, request.keep_alive):
            return _bare(request, "load")
    if request.debug_render_only:
        async with lease(rooms, model, options, request.keep_alive) as leased:
            return _debug(request, await _prompt(leased, model, request))
    answer = _answer(rooms, request, model, options, watch)
    return answer if request.stream is not False else await _whole(answer)


def _check(model: Model, request: GenerateRequest) -> None:
    if request.raw and (request.template or request.system or request.context):
        raise RawConflict
    refuse_thinking(model, request.model, request.think, debug=request.debug_render_only)
    require_completion(model, request.model or "", "generate")
    if request.suffix:
        require(model, "insert")
        raise NotThereYet("fill-in-the-middle (`suffix`)")


async def _answer(
    rooms: Rooms, request: GenerateRequest, model: Model, options: Options, watch: Stopwatch
) -> AsyncIterator[GenerateResponse]:
    async with lease(rooms, model, options, request.keep_alive) as leased:
        prompt = await _prompt(leased, model, request)
        refuse_images(model, request.images)
        refuse_bad_format(request.format)
        refuse_logprobs(request.logprobs)
        warnings = warnings_for(leased, request.options)
        tokens = await fitted(
            leased,
            prompt,
            options,
            truncate=request.truncate is not False,
            shift=request.shift is not False,
        )
        texts: list[str] = []
        async with aclosing(run(leased, tokens, options)) as events:
            async for event in events:
                if isinstance(event, Delta):
                    texts.append(event.text)
                    yield _chunk(request, event.text, warnings)
                    continue
                context = await _context(leased, request, prompt + "".join(texts))
                yield replace(
                    _chunk(request, "", warnings),
                    done=True,
                    done_reason=event.reason,
                    context=context,
                    **asdict(watch.metrics(leased, event)),
                )


async def _prompt(leased: Lease, model: Model, request: GenerateRequest) -> str:
    """The text the model reads (reference/ollama-models.md 6.10)."""
    if request.raw:
        return request.prompt or ""
    if request.template:
        raise NotThereYet("a Go template in the request (`template`)")
    history = () if request.context is not None else _turns(model.messages)
    system = request.system or model.system
    turns = with_model_turns(system, history, [Turn("user", request.prompt or "")])
    template = chat_template(model, leased.info)
    before = await leased.worker.detokenize(request.context) if request.context else ""
    think = _think(model, request)
    return before + await asyncio.to_thread(template.render_generate, turns, think=think)


def _think(model: Model, request: GenerateRequest) -> bool | str | None:
    """A model that can think is asked to, unless the request says otherwise."""
    if request.think is None and "thinking" in model.capabilities:
        return True
    return request.think


def _turns(messages: Sequence[dict[str, str]]) -> list[Turn]:
    return [Turn(m.get("role", ""), m.get("content", "")) for m in messages]


async def _context(leased: Lease, request: GenerateRequest, text: str) -> list[int] | None:
    """Token ids of prompt and answer, for the next request's `context`; raw requests get none."""
    return None if request.raw else list(await leased.worker.tokenize(text))


async def _whole(answer: AsyncIterator[GenerateResponse]) -> GenerateResponse:
    texts: list[str] = []
    async for chunk in answer:
        texts.append(chunk.response)
    return replace(chunk, response="".join(texts))


def _chunk(request: GenerateRequest, text: str, warnings: tuple[str, ...] = ()) -> GenerateResponse:
    return GenerateResponse(request.model or "", time.time_ns(), text, warnings=warnings)


def _bare(request: GenerateRequest, reason: str) -> GenerateResponse:
    return replace(_chunk(request, ""), done=True, done_reason=reason)


def _debug(request: GenerateRequest, prompt: str) -> GenerateResponse:
    info = DebugInfo(rendered_template=prompt, image_count=len(request.images or ()))
    return replace(_chunk(request, ""), debug_info=info)
