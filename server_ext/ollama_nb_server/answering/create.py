"""The verb create (reference/ollama-http-api.md 10.6): checks, then the library's steps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

from ollama_nb_server.answering.preparation import refuse_cloud
from ollama_nb_server.answering.rooms import Rooms
from ollama_nb_server.library.create import Progress, Recipe
from ollama_nb_server.library.create import create as steps
from ollama_nb_server.library.names import ModelName, parse_ref
from ollama_nb_server.wire.chat import Message
from ollama_nb_server.wire.errors import BadBody, CloudDisabled, MissingModel, NotThereYet
from ollama_nb_server.wire.models import CreateRequest, ProgressResponse


async def create(
    rooms: Rooms, request: CreateRequest
) -> ProgressResponse | AsyncIterator[ProgressResponse]:
    """Make a model: a stream of its steps, or the last one."""
    recipe = await asyncio.to_thread(_recipe, rooms, request)
    answer = _told(steps(rooms.store, recipe))
    if request.stream is not False:
        return answer
    *_, last = [line async for line in answer]
    return last


def _recipe(rooms: Rooms, request: CreateRequest) -> Recipe:
    if not request.asked:
        raise MissingModel
    store = rooms.store
    name = store.resolve(parse_ref(request.asked).name)
    _refuse_later_parts(request)
    return Recipe(
        name=name,
        source=_source(request.source),
        files=request.files,
        adapters=request.adapters,
        template=request.template or "",
        system=request.system or "",
        license=request.license,
        parameters={k: v for k, v in (request.parameters or {}).items() if v is not None},
        messages=[_message(message) for message in request.messages or ()],
        renderer=request.renderer or "",
        parser=request.parser or "",
        requires=request.requires or "",
    )


def _source(text: str | None) -> ModelName | None:
    if not text:
        return None
    ref = parse_ref(text)
    refuse_cloud(ref)
    return ref.name


def _refuse_later_parts(request: CreateRequest) -> None:
    if request.draft_quantize and not request.draft_files:
        raise BadBody("--draft-quantize requires a DRAFT model")
    if request.modelfile and not (request.source or request.files):
        raise NotThereYet("creating from a Modelfile (`modelfile`)")
    if any(path.endswith(".safetensors") for path in request.files or ()):
        raise NotThereYet("creating from safetensors files")
    if request.quantize or request.quantization:
        raise NotThereYet("quantizing (`quantize`)")
    if request.draft_files:
        raise NotThereYet("draft models (`draft_files`)")
    if request.remote_host:
        raise CloudDisabled("remote model is unavailable")
    if request.info:
        raise NotThereYet("metadata in the request (`info`)")


def _message(message: Message) -> dict[str, Any]:
    return {"role": message.role, "content": message.content}


async def _told(progress: Iterator[Progress]) -> AsyncIterator[ProgressResponse]:
    """The steps, each done off the event loop."""
    while (step := await asyncio.to_thread(next, progress, None)) is not None:
        yield ProgressResponse(step.status, step.digest, step.total, step.completed)
