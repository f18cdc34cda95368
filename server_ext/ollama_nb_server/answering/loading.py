"""The step before a worker starts: models in older dialects of GGUF are put right."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ollama_nb_server.answering.executors import Executors
from ollama_nb_server.engine.messages import LoadSpec
from ollama_nb_server.library import dialects, gguf
from ollama_nb_server.library.digests import Digest

log = logging.getLogger(__name__)


async def put_right(spec: LoadSpec, cache: Path, executors: Executors) -> LoadSpec:
    """What a worker is to load; as it is, but for a model in an older dialect.

    Such a model may need a file of its own, which is written now if it is not there. That takes
    as long as a copy of the model does, and ends when this is cancelled.

    Raises
    ------
    OldDialect, NoRoomToTranslate, CacheNotWritable
        If it cannot be loaded, or not be translated here.
    """
    left = threading.Event()
    try:
        return await executors.write(_put_right, spec, cache, left.is_set)
    finally:
        left.set()


def _put_right(spec: LoadSpec, cache: Path, cancelled: Callable[[], bool]) -> LoadSpec:
    if spec.projector:
        form = _form(Path(spec.projector), cache, cancelled)
        spec = replace(spec, projector=str(form.translation or spec.projector))
    if spec.draft:
        form = _form(Path(spec.draft), cache, cancelled)
        spec = replace(spec, draft=str(form.translation or spec.draft))
    form = _form(Path(spec.model_path), cache, cancelled)
    translation = str(form.translation or "")
    return replace(spec, translation=translation, overrides=form.overrides)


def _form(path: Path, cache: Path, cancelled: Callable[[], bool]) -> dialects.Loadable:
    """How llama.cpp loads a file: as it is, or translated.

    libmtmd takes no overrides, and a projector's translation needs none.
    """
    metadata = gguf.read(path)
    dialect = dialects.recognise(metadata)
    if dialect is None:
        return dialects.Loadable()
    log.info("%s is of the dialect %s: it is translated", path, dialect.name)
    return dialects.loadable(metadata, Digest.parse(path.name), cache, cancelled)
