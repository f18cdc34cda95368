"""What several translations share."""

from __future__ import annotations

from typing import Any

from ollama_nb_server.library.dialects.changes import Value, f32, i32s
from ollama_nb_server.library.dialects.marks import num_rows, num_tokens
from ollama_nb_server.library.gguf import GGUFMetadata

SENSES = ("v.", "mm.")


def missing(metadata: GGUFMetadata, **values: Value) -> dict[str, Value]:
    """Those of the architecture's keys that are not there; `__` stands for the dot."""
    keys = {f"{metadata.architecture}.{k.replace('__', '.')}": v for k, v in values.items()}
    return {key: value for key, value in keys.items() if key not in metadata.values}


def moved(metadata: GGUFMetadata, names: dict[str, str]) -> dict[str, Value]:
    """Floats under their new names, of those that are there."""
    found = {new: metadata.of_architecture(old) for old, new in names.items()}
    prefix = metadata.architecture
    return {f"{prefix}.{k}": f32(v) for k, v in found.items() if isinstance(v, int | float)}


def cut(metadata: GGUFMetadata) -> int | None:
    """Rows of the embedding, if the tokenizer has more tokens than these."""
    rows = num_rows(metadata, "token_embd.weight")
    return rows if 0 < rows < num_tokens(metadata) else None


def sections_of(sizes: Any) -> Value:
    """The rotation's sections as llama.cpp has them: four, the last ones empty."""
    return i32s(*(int(size) for size in [*sizes, 0, 0, 0, 0][:4]))


def senses(metadata: GGUFMetadata, *starts: str) -> tuple[str, ...]:
    """Beginnings of the names of what it sees and hears with, if that lies in the file."""
    wanted = (*SENSES, *starts)
    return wanted if any(t.name.startswith(wanted) for t in metadata.tensors) else ()
