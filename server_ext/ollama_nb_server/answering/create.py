"""The verb create (reference/ollama-http-api.md 10.6): checks, then the library's steps.

The form of 2023 (`modelfile`) is read into the same recipe as today's fields.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, suppress
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from ollama_nb_server.answering.app_context import AppContext
from ollama_nb_server.answering.belongings import Allowance
from ollama_nb_server.answering.heartbeat import AnswerStream, repeating
from ollama_nb_server.answering.naming import Catalog, refuse_cloud
from ollama_nb_server.answering.transfer import pull_into
from ollama_nb_server.library.create import Cancellation, Progress, Recipe
from ollama_nb_server.library.create import create as steps
from ollama_nb_server.library.digests import Digest
from ollama_nb_server.library.errors import InvalidDigest, ModelNotFound, ServerPath
from ollama_nb_server.library.modelfile import Modelfile, ingredients, parse
from ollama_nb_server.library.names import ModelName, ModelRef
from ollama_nb_server.scheduling.context import Caller
from ollama_nb_server.wire.bounds import MAX_MESSAGES
from ollama_nb_server.wire.chat import Message, ToolCall
from ollama_nb_server.wire.errors import BadBody, CloudDisabled, MissingModel, TooMuch
from ollama_nb_server.wire.models import CreateRequest, ProgressResponse

BEGINNING = "gathering model components"
# Its own, so that long steps leave the threads alone that short questions wait for.
THREADS = ThreadPoolExecutor(4, "create")
T = TypeVar("T")


async def create(
    app: AppContext, request: CreateRequest, caller: Caller
) -> ProgressResponse | AnswerStream[ProgressResponse]:
    """Make a model: a stream of its steps, or the last one."""
    recipe, warnings = await in_thread(_recipe, app.allowance(caller), request)
    if len(recipe.messages) > MAX_MESSAGES:
        raise TooMuch(f"{len(recipe.messages):,} messages are more than {MAX_MESSAGES:,}")
    answer = _told(app, recipe, warnings, caller)
    if request.stream is not False:
        return repeating(answer, ProgressResponse(BEGINNING), app.settings.heartbeat_s)
    *_, last = [line async for line in answer]
    return last


def _recipe(allowance: Allowance, request: CreateRequest) -> tuple[Recipe, list[str]]:
    """What is to be made, and what the client should know of it."""
    catalog = allowance.catalog
    if not request.asked:
        raise MissingModel
    name = catalog.new(request.asked)
    _refuse_what_cannot_be(request)
    made = _of_modelfile if request.modelfile and not request.source else _of_fields
    recipe, warnings = made(catalog, request, name)
    if recipe.draft_quantize and not recipe.drafts:
        raise BadBody("--draft-quantize requires a DRAFT model")
    allowance.check(recipe)
    admit = partial(allowance.admit, name, used=frozenset(_digests(recipe)))
    return replace(recipe, owner=catalog.owner_of_new(name), admit=admit), warnings


def _digests(recipe: Recipe) -> Iterator[Digest]:
    """The blobs that it names."""
    for files in (recipe.files, recipe.adapters, recipe.drafts):
        for text in (files or {}).values():
            with suppress(InvalidDigest):
                yield Digest.parse(text)


def _of_fields(
    catalog: Catalog, request: CreateRequest, name: ModelName
) -> tuple[Recipe, list[str]]:
    return Recipe(
        name=name,
        source=_source(catalog, request.source) if request.source else None,
        files=request.files,
        adapters=request.adapters,
        drafts=request.draft_files,
        template=request.template or "",
        system=request.system or "",
        license=request.license,
        parameters=_parameters(request),
        messages=[_message(message) for message in request.messages or ()],
        quantize=_quantize(request),
        draft_quantize=request.draft_quantize or "",
        renderer=request.renderer or "",
        parser=request.parser or "",
        requires=request.requires or "",
        info=request.info or {},
    ), []


def _of_modelfile(
    catalog: Catalog, request: CreateRequest, name: ModelName
) -> tuple[Recipe, list[str]]:
    """The old form; fields beside `modelfile` count where the Modelfile says nothing."""
    asked = parse(request.modelfile or "")
    parts = ingredients(asked, catalog.store.blobs.folder, request.files or {})
    recipe = Recipe(
        name=name,
        source=_source(catalog, parts.source) if parts.source else None,
        files=parts.files or None,
        adapters=parts.adapters or request.adapters,
        drafts=parts.drafts or request.draft_files,
        template=asked.template or request.template or "",
        system=asked.system or request.system or "",
        license=asked.licenses or request.license,
        parameters={**_parameters(request), **asked.parameters},
        messages=asked.messages or [_message(message) for message in request.messages or ()],
        quantize=_quantize(request),
        draft_quantize=request.draft_quantize or "",
        renderer=asked.renderer or request.renderer or "",
        parser=asked.parser or request.parser or "",
        requires=asked.requires or request.requires or "",
        info=request.info or {},
    )
    return recipe, _warnings(asked)


def _warnings(asked: Modelfile) -> list[str]:
    return [f"warning: parameter {name} has no effect" for name in asked.without_effect]


def _source(catalog: Catalog, asked: str | ModelRef) -> ModelName:
    ref = catalog.meant(asked)
    refuse_cloud(ref)
    told = asked if isinstance(asked, str) else ref.name.display
    catalog.require(ref.name, told)
    if not catalog.caller.manages and not catalog.has(ref.name):
        raise ModelNotFound(told, ref.name.display)  # who manages has it pulled
    return ref.name


def _parameters(request: CreateRequest) -> dict[str, Any]:
    return {k: v for k, v in (request.parameters or {}).items() if v is not None}


def _quantize(request: CreateRequest) -> str:
    return request.quantize or request.quantization or ""


def _refuse_what_cannot_be(request: CreateRequest) -> None:
    if request.remote_host:
        raise CloudDisabled("remote model is unavailable")
    if request.path and not (request.modelfile or request.source or request.files):
        raise ServerPath(request.path)


def _message(message: Message) -> dict[str, Any]:
    """As the store keeps it: role and content always, the rest if there is any."""
    extra = {
        "thinking": message.thinking,
        "images": [base64.b64encode(image).decode() for image in message.images or ()],
        "tool_calls": [_call(call) for call in message.tool_calls or ()],
        "tool_name": message.tool_name,
        "tool_call_id": message.tool_call_id,
    }
    told = {key: value for key, value in extra.items() if value}
    return {"role": message.role.lower(), "content": message.content, **told}


def _call(call: ToolCall) -> dict[str, Any]:
    function = {
        "index": call.function.index or 0,
        "name": call.function.name,
        "arguments": call.function.arguments or {},
    }
    return {**({"id": call.id} if call.id else {}), "function": function}


async def _told(
    app: AppContext, recipe: Recipe, warnings: list[str], caller: Caller
) -> AsyncGenerator[ProgressResponse, None]:
    """The steps, each taken off the event loop; leaving this ends what runs for them at once."""
    cancellation = Cancellation()
    work = _Work(await in_thread(steps, app.store, recipe, cancellation))
    for warning in warnings:
        yield ProgressResponse(warning)
    source = recipe.source if caller.manages else None  # what users name was there a moment ago
    if source is not None and not await in_thread(app.store.has, source):
        async with aclosing(pull_into(app, source)) as news:
            async for came in news:
                yield ProgressResponse(came.status, came.digest, came.total, came.completed)
    try:
        async for step in work.steps():
            yield ProgressResponse(step.status, step.digest, step.total, step.completed)
    finally:
        cancellation.cancel()
        await work.end()
    if used := {digest.hex for digest in _digests(recipe)} & app.uploads.of(caller.name).keys():
        app.uploads.drop(caller.name, used)
        await in_thread(app.store.discard, {Digest(hexadecimal) for hexadecimal in used})


async def in_thread(function: Callable[..., T], *arguments: object) -> T:
    """Run a step beside the event loop."""
    return await asyncio.get_running_loop().run_in_executor(THREADS, function, *arguments)


class _Work:
    """Takes the steps of one create, one after another, in a thread."""

    def __init__(self, progress: Iterator[Progress]) -> None:
        self._progress = progress
        self._taking: asyncio.Future[Progress | None] | None = None

    async def steps(self) -> AsyncIterator[Progress]:
        """Each step."""
        loop = asyncio.get_running_loop()
        while True:
            self._taking = loop.run_in_executor(THREADS, next, self._progress, None)
            await asyncio.wait({self._taking})
            if (step := self._taking.result()) is None:
                return
            yield step

    async def end(self) -> None:
        """Wait for a step that is still being taken, and let go of what the work holds."""
        if self._taking is not None:
            await asyncio.wait({self._taking})
            self._taking.exception()  # it went to the client, or was only the stop's own
        if isinstance(self._progress, Generator):
            await in_thread(self._progress.close)
