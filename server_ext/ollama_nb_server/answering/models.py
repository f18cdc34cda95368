"""The verbs tags, show, ps, copy, delete (reference/ollama-http-api.md 10.1 to 10.5)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from ollama_nb_server.answering.preparation import find
from ollama_nb_server.answering.rooms import Rooms
from ollama_nb_server.library import gguf
from ollama_nb_server.library.errors import InvalidName, LibraryError
from ollama_nb_server.library.gosyntax import parameter_lines
from ollama_nb_server.library.model import Model
from ollama_nb_server.library.modelfile import render
from ollama_nb_server.library.names import ModelName, parse_ref
from ollama_nb_server.scheduling.scheduler import Running
from ollama_nb_server.wire.errors import MissingModel
from ollama_nb_server.wire.models import CopyRequest, DeleteRequest, Document, ShowRequest
from ollama_nb_server.wire.times import local

HIDDEN_KEYS = ("general.name", "tokenizer.chat_template")


async def tags(rooms: Rooms) -> Document:
    """All models in the store, the newest first."""
    models = await asyncio.to_thread(rooms.store.models)
    return Document({"models": [_entry(model) for model in models]})


def details(model: Model) -> dict[str, Any]:
    """The six fields that tags, show and ps share."""
    config, metadata = model.config, model.metadata
    kind = config.file_type if config.file_type not in ("", "unknown") else metadata.file_type
    return {
        "parent_model": model.parent if model.parent and not _is_file(model.parent) else "",
        "format": config.model_format or "gguf",
        "family": config.model_family or metadata.architecture,
        "families": list(config.model_families) if config.model_families else None,
        "parameter_size": config.model_type or metadata.parameter_size,
        "quantization_level": kind,
    }


def _is_file(source: str) -> bool:
    return source.endswith((".gguf", ".safetensors")) or "/" in source.strip("/").split(":")[0]


def _entry(model: Model) -> dict[str, Any]:
    lengths = {
        "context_length": model.metadata.context_length,
        "embedding_length": model.metadata.embedding_length,
    }
    entry = {
        "name": model.name.display,
        "model": model.name.display,
        "modified_at": local(model.modified_at),
        "size": model.manifest.size,
        "digest": model.digest,
        "details": details(model) | {name: value for name, value in lengths.items() if value},
    }
    return entry | ({"capabilities": list(model.capabilities)} if model.capabilities else {})


async def show(rooms: Rooms, request: ShowRequest) -> Document:
    """Everything about one model; arrays of its metadata only if `verbose`."""
    if not request.asked:
        raise MissingModel
    model = await find(rooms, request.asked, cloud="remote model details are unavailable")
    return Document(await asyncio.to_thread(_shown, model, request))


def _shown(model: Model, request: ShowRequest) -> dict[str, Any]:
    parameters = {**model.parameters, **(request.options or {})}
    system = request.system or model.system
    info = {
        k: v for k, v in model.metadata.items(arrays=bool(request.verbose)) if k not in HIDDEN_KEYS
    }
    info["general.parameter_count"] = model.metadata.parameter_count
    template = model.metadata.chat_template if model.uses_jinja else None
    optional_head = {"license": "\n".join(model.licenses)}
    shown: dict[str, Any] = {k: v for k, v in optional_head.items() if v}
    shown["modelfile"] = render(model, system, parameters)
    if model.parameters:
        shown["parameters"] = parameter_lines(model.parameters)
    shown["template"] = template or model.template or "{{ .Prompt }}"
    shown |= {"system": system} if system else {}
    shown["details"] = details(model)
    if model.messages:
        said = [
            {"role": m.get("role", ""), "content": m.get("content", "")} for m in model.messages
        ]
        shown["messages"] = said
    shown["model_info"] = dict(sorted(info.items()))
    if model.projectors:
        shown["projector_info"] = _projector_info(model.projectors[0])
    if model.metadata.tensors:
        shown["tensors"] = [
            {"name": t.name, "type": t.type_name, "shape": list(t.shape)}
            for t in model.metadata.tensors
        ]
    shown["capabilities"] = list(model.capabilities)
    shown["modified_at"] = local(model.modified_at)
    return shown | ({"requires": model.config.requires} if model.config.requires else {})


def _projector_info(path: Path) -> dict[str, Any]:
    return dict(sorted(gguf.read(path).items(arrays=False)))


async def ps(rooms: Rooms) -> Document:
    """The loaded models, the one that stays longest first."""
    running = rooms.scheduler.running()
    return Document({"models": await asyncio.to_thread(_running, rooms, running)})


def _running(rooms: Rooms, running: list[Running]) -> list[dict[str, Any]]:
    return [entry for entry in (_loaded(rooms, one) for one in running) if entry is not None]


def _loaded(rooms: Rooms, running: Running) -> dict[str, Any] | None:
    digest, facts = "", {}
    try:
        model = rooms.store.model(ModelName.parse(running.label))
        digest, facts = model.digest, details(model)
    except (LibraryError, OSError):
        pass  # deleted or replaced meanwhile: it still runs, and its name is all that is known
    return {
        "name": running.label,
        "model": running.label,
        "size": running.size_bytes,
        "digest": digest,
        "details": facts,
        "expires_at": local(running.expires_at),
        "size_vram": running.vram_bytes,
        "context_length": running.num_ctx,
    }


async def copy(rooms: Rooms, request: CopyRequest) -> None:
    """Give a model a second name."""
    source = _parsed(request.source or "", "source")
    destination = _parsed(request.destination or "", "destination")
    await asyncio.to_thread(_copy, rooms, source, destination, request.source or "")


def _copy(rooms: Rooms, source: ModelName, destination: ModelName, asked: str) -> None:
    store = rooms.store
    store.copy(store.resolve(source), store.resolve(destination), asked)


async def delete(rooms: Rooms, request: DeleteRequest) -> None:
    """Remove a model and what only it used; a loaded one goes on until its keep-alive is over."""
    if not request.asked:
        raise MissingModel
    name = parse_ref(request.asked).name
    await asyncio.to_thread(_delete, rooms, name, request.asked)


def _delete(rooms: Rooms, name: ModelName, asked: str) -> None:
    rooms.store.delete(rooms.store.resolve(name), asked)


def _parsed(text: str, part: str) -> ModelName:
    try:
        return parse_ref(text).name
    except InvalidName as error:
        raise InvalidName(text, part) from error
