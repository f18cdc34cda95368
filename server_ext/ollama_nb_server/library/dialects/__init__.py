"""Models in the GGUF dialects of older versions of Ollama: told, and translated where that helps.

Nothing in the store is changed. Where keys alone differ, llama.cpp is told them beside the file;
where names of tensors do, a translated copy lies in the cache.
"""

from __future__ import annotations

from ollama_nb_server.library.dialects.cache import prune
from ollama_nb_server.library.dialects.changes import Scalar
from ollama_nb_server.library.dialects.dialect import Dialect
from ollama_nb_server.library.dialects.errors import (
    CacheNotWritable,
    NoRoomToTranslate,
    OldDialect,
    TranslationCancelled,
    TranslationStuck,
)
from ollama_nb_server.library.dialects.loading import Loadable, advice, loadable
from ollama_nb_server.library.dialects.table import ARCHITECTURES, ROWS, recognise

__all__ = [
    "ARCHITECTURES",
    "ROWS",
    "CacheNotWritable",
    "Dialect",
    "Loadable",
    "NoRoomToTranslate",
    "OldDialect",
    "Scalar",
    "TranslationCancelled",
    "TranslationStuck",
    "advice",
    "loadable",
    "prune",
    "recognise",
]
