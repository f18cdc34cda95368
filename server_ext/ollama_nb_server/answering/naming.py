"""Which model a name in a request means. What is here is meant first, whatever its name looks like.

`m:8b-cloud` stands for a model in the cloud, unless the store has a model of that very name.
"""

from __future__ import annotations

from dataclasses import replace

from ollama_nb_server.library.errors import InvalidName
from ollama_nb_server.library.names import ModelName, ModelRef, parse_ref
from ollama_nb_server.library.store import Store
from ollama_nb_server.wire.errors import CloudDisabled


def meant(store: Store, asked: str | ModelRef, *, fold_case: bool = True) -> ModelRef:
    """The model, in the spelling of the store. Blocks on the disk.

    Raises
    ------
    InvalidName, ConflictingSource
    """
    ref = parse_ref(asked) if isinstance(asked, str) else asked
    if ref.literal is not None and store.has(literal := _spelled(store, ref.literal, fold_case)):
        return ModelRef(literal)
    return replace(ref, name=_spelled(store, ref.name, fold_case))


def _spelled(store: Store, name: ModelName, fold_case: bool) -> ModelName:
    return store.resolve(name) if fold_case else name


def refuse_cloud(ref: ModelRef, what: str = "remote model is unavailable") -> None:
    """Refuse a model that lives in the cloud."""
    if ref.source == "cloud":
        raise CloudDisabled(what)


def existing(store: Store, asked: str) -> ModelName:
    """The name of a model that is to be copied or deleted, be it there or not.

    Never another one than was named: `m:cloud` does not delete `m`.

    Raises
    ------
    InvalidName, ConflictingSource
    """
    ref = meant(store, asked)
    if ref.source != "cloud":
        return ref.name
    if ref.literal is None:
        raise InvalidName(asked)
    return ref.literal


def new(store: Store, asked: str) -> ModelName:
    """The name for a model that is to be made: it is called exactly so.

    Raises
    ------
    InvalidName
    """
    try:
        return store.resolve(ModelName.parse(asked.strip()))
    except InvalidName as error:
        raise InvalidName(asked) from error
