"""The verbs tags, show, ps, copy, delete (reference/ollama-http-api.md 10.1 to 10.5)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from ollama_nb_server.answering import showing
from ollama_nb_server.answering.app_context import AppContext
from ollama_nb_server.answering.belongings import Allowance
from ollama_nb_server.answering.naming import Catalog
from ollama_nb_server.answering.preparation import closing, find
from ollama_nb_server.library import dialects
from ollama_nb_server.library.errors import InvalidName, RemoteModel
from ollama_nb_server.library.model import Entry, Model
from ollama_nb_server.library.names import ModelName
from ollama_nb_server.scheduling.context import Caller
from ollama_nb_server.scheduling.scheduler import RunningModel
from ollama_nb_server.wire.errors import MissingModel
from ollama_nb_server.wire.extras import ListedExtras
from ollama_nb_server.wire.models import (
    CopyRequest,
    DeleteRequest,
    Document,
    Encoded,
    ShowRequest,
)
from ollama_nb_server.wire.times import local


async def tags(app: AppContext, caller: Caller, *, with_extras: bool = False) -> Encoded:
    """All models that are there for the caller, the newest first.

    With extras, `nb` names the window in which one may not be used now.
    """
    catalog = app.catalog(caller)
    told = partial(_closed, app, catalog) if with_extras else None
    return await app.executors.read(_tags, catalog, told)


def _tags(catalog: Catalog, told: Callable[[ModelName], dict[str, Any]] | None) -> Encoded:
    listed = []
    for entry in catalog.entries():
        item = _entry(entry, catalog.shown(entry.name))
        listed.append(item if told is None else item | told(entry.name))
    return Encoded.of({"models": listed})


def _closed(app: AppContext, catalog: Catalog, name: ModelName) -> dict[str, Any]:
    held = closing(app, catalog.caller, name, is_own=bool(catalog.owner(name)))
    return {} if held is None else {"nb": asdict(ListedExtras(held.window.name))}


def _entry(entry: Entry, shown: str) -> dict[str, Any]:
    lengths = {
        "context_length": entry.details.context_length,
        "embedding_length": entry.details.embedding_length,
    }
    item = {
        "name": shown,
        "model": shown,
        **showing.remote(entry.config),
        "modified_at": local(entry.modified_at),
        "size": entry.size,
        "digest": entry.digest,
        "details": showing.details(entry.details) | {k: v for k, v in lengths.items() if v},
    }
    return item | ({"capabilities": entry.capabilities} if entry.capabilities else {})


async def show(app: AppContext, request: ShowRequest, caller: Caller, agent: str = "") -> Encoded:
    """Everything about one model; arrays of its metadata only if `verbose`."""
    if not request.asked:
        raise MissingModel
    try:
        cloud = "remote model details are unavailable"
        model = await find(app, caller, request.asked, cloud=cloud, to_use=False)
    except RemoteModel:
        return await app.executors.read(_show_remote, app.catalog(caller), request.asked)
    return await app.executors.read(_show, model, request, agent)


def _show(model: Model, request: ShowRequest, agent: str) -> Encoded:
    advice = dialects.advice(model.metadata)
    return Encoded.of(showing.shown(model, request, agent), *([advice] if advice else []))


def _show_remote(catalog: Catalog, asked: str) -> Encoded:
    name = catalog.meant(asked).name
    return Encoded.of(showing.shown_remote(catalog.store.entry(name, asked)))


async def ps(app: AppContext, caller: Caller, *, with_extras: bool = False) -> Document:
    """The loaded models, the one that stays longest first; what was deleted is left out.

    With extras, what each takes of memory is told apart in its `nb`.
    """
    running, catalog = app.scheduler.running(), app.catalog(caller)
    loaded = await app.executors.read(_all_loaded, catalog, running, with_extras)
    return Document({"models": loaded})


def _all_loaded(
    catalog: Catalog, running: list[RunningModel], with_extras: bool
) -> list[dict[str, Any]]:
    present = [one for one in (_present(catalog, one) for one in running) if one is not None]
    if not catalog.caller.manages:  # two workers may go by one name for who sees only that
        present = list({one.label: one for one in reversed(present)}.values())[::-1]
    return [_loaded(one) | (_memory(one) if with_extras else {}) for one in present]


def _memory(running: RunningModel) -> dict[str, Any]:
    return {} if running.memory is None else {"nb": asdict(running.memory)}


def _present(catalog: Catalog, running: RunningModel) -> RunningModel | None:
    """A model that was deleted, or is not there for the caller, goes by another of its weights.

    If there is none, it is left out. Requests that a deleted one still answers, and its memory, are
    the worker's affair until it has ended.
    """
    model = running.model
    if not isinstance(model, Model):
        return running
    if catalog.store.manifests.has(model.name) and catalog.sees(model.name):
        return replace(running, label=catalog.shown(model.name))
    other = catalog.called(model.weights_digest)
    if other is None:
        return None
    return replace(running, label=catalog.shown(other.name), model=other)


def _loaded(running: RunningModel) -> dict[str, Any]:
    """What is told of a model is what it was when it was loaded."""
    model = running.model if isinstance(running.model, Model) else None
    size = running.size_bytes or _file_bytes(running.weights)  # the worker has not told it yet
    return {
        "name": running.label,
        "model": running.label,
        "size": size,
        "digest": model.digest if model is not None else "",
        "details": showing.details(model.details) if model is not None else {},
        "expires_at": local(running.expires_at),
        "size_vram": running.vram_bytes,
        "context_length": running.num_ctx,
    }


def _file_bytes(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except OSError:
        return 0  # removed meanwhile: it still loads


async def copy(app: AppContext, request: CopyRequest, caller: Caller) -> None:
    """Give a model a second name."""
    allowance = app.allowance(caller)
    await app.executors.write(_copy, allowance, request.source or "", request.destination or "")


def _copy(allowance: Allowance, source: str, destination: str) -> None:
    catalog = allowance.catalog
    with _blamed("source"):
        name = catalog.existing(source)
    with _blamed("destination"):
        new = catalog.new(destination)
    catalog.require(name, source)
    admit = partial(allowance.admit, new, used=frozenset())
    catalog.store.copy(name, new, source, catalog.owner_of_new(new), admit)


@contextmanager
def _blamed(part: str) -> Iterator[None]:
    """Say which of two names is none."""
    try:
        yield
    except InvalidName as error:
        raise InvalidName(error.text, part) from error


async def delete(app: AppContext, request: DeleteRequest, caller: Caller) -> None:
    """Remove a model and what only it used; a loaded one ends when its requests have."""
    if not request.asked:
        raise MissingModel
    for path in await app.executors.write(_delete, app.catalog(caller), request.asked):
        app.scheduler.unload(str(path))


def _delete(catalog: Catalog, asked: str) -> list[Path]:
    name, store = catalog.existing(asked), catalog.store
    catalog.require(name, asked)
    if store.manifests.has(name):
        catalog.require_own(name, "delete")
    return [store.blobs.path(digest) for digest in store.delete(name, asked)]
