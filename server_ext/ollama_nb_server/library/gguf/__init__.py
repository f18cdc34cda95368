"""GGUF files: their headers, read within bounds; long arrays and tensors only when asked for."""

from __future__ import annotations

from ollama_nb_server.library.gguf.header import read
from ollama_nb_server.library.gguf.metadata import GGUFMetadata, human_number
from ollama_nb_server.library.gguf.tables import FILE_TYPES, MAGIC, TYPES
from ollama_nb_server.library.gguf.tensors import StoredTensors, Tensor
from ollama_nb_server.library.gguf.values import LongArray

__all__ = [
    "FILE_TYPES",
    "MAGIC",
    "TYPES",
    "GGUFMetadata",
    "LongArray",
    "StoredTensors",
    "Tensor",
    "human_number",
    "read",
]
