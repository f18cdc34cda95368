"""The verbs tokenize and detokenize: a model's tokens of texts, without computing anything."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from ollama_nb_server.answering.app_context import AppContext
from ollama_nb_server.answering.generation import Stopwatch, warnings_for
from ollama_nb_server.answering.preparation import find, lease, options_for
from ollama_nb_server.answering.prompt import literal_segments, text_guard
from ollama_nb_server.answering.score import OF_LOADING, idle_options
from ollama_nb_server.engine.messages import Segment, TextSegment
from ollama_nb_server.scheduling.context import RequestContext
from ollama_nb_server.wire.errors import NoSuchToken
from ollama_nb_server.wire.options import Options
from ollama_nb_server.wire.tokens import (
    DetokenizeRequest,
    DetokenizeResponse,
    TokenizeRequest,
    TokenizeResponse,
)

AT_ONCE = 64  # texts that are on their way to the worker
Given = TypeVar("Given")
Made = TypeVar("Made")


async def tokenize(
    app: AppContext, request: TokenizeRequest, context: RequestContext
) -> TokenizeResponse:
    """The ids of each text; special tokens where the request says so."""
    watch = Stopwatch()
    model = await find(app, context.caller, request.model)
    texts = request.all_texts
    options = options_for(app, context, model, request.options)
    held = lease(app, context, model, options, request.keep_alive, least_ctx=_least_ctx(options))
    async with held as leased:
        warnings = warnings_for(leased, model.name.display, request.options)
        warnings += idle_options(request.options, OF_LOADING, "tokens")
        guard, worker = text_guard(model, leased.info), leased.worker

        def segments(text: str) -> tuple[Segment, ...]:
            return (TextSegment(text),) if request.parse_special else literal_segments(guard, text)

        async def tokens(text: str) -> tuple[int, ...]:
            with_special = bool(request.add_special)
            return await worker.tokenize(segments(text), add_special=with_special)

        return TokenizeResponse(
            request.model or "",
            tuple(await _all(tokens, texts)),
            request.text is not None,
            total_duration=watch.elapsed_ns(),
            load_duration=leased.load_ns,
            warnings=warnings,
        )


async def detokenize(
    app: AppContext, request: DetokenizeRequest, context: RequestContext
) -> DetokenizeResponse:
    """The text of each list of ids, special tokens included."""
    watch = Stopwatch()
    model = await find(app, context.caller, request.model)
    lists = request.lists
    options = options_for(app, context, model, request.options)
    held = lease(app, context, model, options, request.keep_alive, least_ctx=_least_ctx(options))
    async with held as leased:
        warnings = warnings_for(leased, model.name.display, request.options)
        warnings += idle_options(request.options, OF_LOADING, "tokens")
        for ids in lists:
            _refuse_others(ids, leased.info.num_vocab)
        return DetokenizeResponse(
            request.model or "",
            tuple(await _all(leased.worker.detokenize, lists)),
            request.is_single,
            total_duration=watch.elapsed_ns(),
            load_duration=leased.load_ns,
            warnings=warnings,
        )


async def _all(make: Callable[[Given], Awaitable[Made]], texts: Sequence[Given]) -> list[Made]:
    made: list[Made] = []
    for at in range(0, len(texts), AT_ONCE):
        made += await asyncio.gather(*map(make, texts[at : at + AT_ONCE]))
    return made


def _least_ctx(options: Options) -> int:
    """Any loaded context will do, unless the request names one."""
    return 0 if "num_ctx" in options.given else 1


def _refuse_others(ids: Sequence[int], num_vocab: int) -> None:
    for token in (min(ids, default=0), max(ids, default=0)):
        if not 0 <= token < num_vocab:
            raise NoSuchToken(token, num_vocab, "tokens")
