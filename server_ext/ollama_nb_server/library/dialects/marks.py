"""What tells a dialect from the file that llama.cpp writes of the same model: keys and names."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from ollama_nb_server.library.gguf import GGUFMetadata, LongArray, Tensor

Mark: TypeAlias = Callable[[GGUFMetadata], bool]


def always(_: GGUFMetadata) -> bool:
    """The architecture's name alone tells."""
    return True


def any_of(*marks: Mark) -> Mark:
    """One of several."""
    return lambda metadata: any(mark(metadata) for mark in marks)


def both(*marks: Mark) -> Mark:
    """All of several."""
    return lambda metadata: all(mark(metadata) for mark in marks)


def without(mark: Mark) -> Mark:
    """The contrary."""
    return lambda metadata: not mark(metadata)


def key(name: str) -> Mark:
    """A key of the architecture."""
    return lambda metadata: f"{metadata.architecture}.{name}" in metadata.values


def whole_key(name: str) -> Mark:
    """A key by its whole name."""
    return lambda metadata: name in metadata.values


def says(name: str, *values: object) -> Mark:
    """A key by its whole name has one of these values; None: it is not there."""
    return lambda metadata: metadata.values.get(name) in values


def tensor(name: str) -> Mark:
    """A tensor of that name."""
    return lambda metadata: find(metadata, name) is not None


def begins(*starts: str) -> Mark:
    """A tensor whose name begins like this."""
    return lambda metadata: any(t.name.startswith(starts) for t in metadata.tensors)


def ends(*endings: str) -> Mark:
    """A tensor whose name ends like this."""
    return lambda metadata: any(t.name.endswith(endings) for t in metadata.tensors)


def find(metadata: GGUFMetadata, name: str) -> Tensor | None:
    """A tensor by its name."""
    return next((t for t in metadata.tensors if t.name == name), None)


def num_tokens(metadata: GGUFMetadata) -> int:
    """Size of the tokenizer's vocabulary (0: there is none)."""
    tokens = metadata.values.get("tokenizer.ggml.tokens")
    if isinstance(tokens, LongArray):
        return tokens.length
    return len(tokens) if isinstance(tokens, list) else 0


def num_rows(metadata: GGUFMetadata, name: str) -> int:
    """Rows of a tensor (0: it is not there)."""
    found = find(metadata, name)
    return found.shape[1] if found is not None and len(found.shape) > 1 else 0
