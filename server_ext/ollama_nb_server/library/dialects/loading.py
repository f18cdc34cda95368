"""What llama.cpp is given to load for a model, and what people are told about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ollama_nb_server.library.dialects.cache import translated
from ollama_nb_server.library.dialects.changes import Scalar
from ollama_nb_server.library.dialects.errors import OldDialect
from ollama_nb_server.library.dialects.table import recognise
from ollama_nb_server.library.digests import Digest
from ollama_nb_server.library.gguf import GGUFMetadata


@dataclass(frozen=True, slots=True)
class Loadable:
    """A file that llama.cpp loads, and keys that it is told beside it.

    `translation` stands for the model's own file; None: that one is loaded.
    """

    translation: Path | None = None
    overrides: tuple[tuple[str, Scalar], ...] = ()


def loadable(
    metadata: GGUFMetadata,
    digest: Digest,
    cache: Path,
    cancelled: Callable[[], bool] = lambda: False,
) -> Loadable:
    """What to load; a translation that needs a file of its own is written now, if it is not there.

    Blocks, for as long as a copy of the model takes.

    Raises
    ------
    OldDialect
        If llama.cpp cannot load the model, and it cannot be translated.
    NoRoomToTranslate, CacheNotWritable, TranslationCancelled
    """
    dialect = recognise(metadata)
    if dialect is None:
        return Loadable()
    changes = dialect.changes(metadata)
    overrides = changes.overrides
    if overrides is not None:
        return Loadable(overrides=overrides)
    return Loadable(translated(cache, metadata, digest, changes, cancelled))


def advice(metadata: GGUFMetadata) -> str | None:
    """What to tell of a model in an older dialect, in one or two sentences; else None."""
    dialect = recognise(metadata)
    if dialect is None:
        return None
    try:
        changes = dialect.changes(metadata)
    except OldDialect as error:
        return str(error)
    what = f"This is {dialect.title} in the GGUF dialect of an older Ollama: {dialect.why}."
    if changes.overrides is not None:
        return f"{what} It is put right while it is loaded; nothing is to be done."
    return (
        f"{what} It is translated when it is loaded first, into a file of its size in the cache "
        "(OLLAMA_NB_CACHE)." + (" It reads and writes text only." if changes.dropped else "")
    )
