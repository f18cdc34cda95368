"""GGUF files written anew in a process of its own: checked and copied, quantised, merged.

A copy has the bytes that Ollama's own create would store.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from ollama_nb_server.library.errors import (
    AlreadyQuantized,
    CannotRewrite,
    UnsupportedQuantization,
)
from ollama_nb_server.library.gguf import GGUFMetadata
from ollama_nb_server.library.jobs import Cancellation, ChildFailed, steps

TYPES = {"F32": 0, "F16": 1, "BF16": 32, "Q8_0": 7, "Q4_K_S": 14, "Q4_K_M": 15}  # llama_ftype
ALIASES = {"Q4_K": "Q4_K_M"}
FULL = ("F32", "F16", "BF16")
COPY = "copy"
MODULE = "ollama_nb_server.engine.requantize"
MERGER = "ollama_nb_server.library.create.merging"


def quantization(text: str) -> str:
    """The name of a type, however it is spelled.

    Raises
    ------
    UnsupportedQuantization
        For one that a model cannot be made of.
    """
    name = ALIASES.get(text.upper(), text.upper())
    if name not in TYPES:
        raise UnsupportedQuantization(name)
    return name


def source_type(metadata: GGUFMetadata) -> str:
    """What a model is made of, if it can be quantised.

    Raises
    ------
    AlreadyQuantized
        If one of its tensors is neither F16, BF16 nor F32.
    """
    kinds = {tensor.type_name for tensor in metadata.tensors if len(tensor.shape) > 1}
    if not kinds <= set(FULL):
        raise AlreadyQuantized
    return metadata.file_type if metadata.file_type in FULL else "F32"


def rewrite(
    source: Path,
    target: Path,
    kind: str = COPY,
    architecture: str = "",
    cancellation: Cancellation | None = None,
) -> Iterator[tuple[int, int]]:
    """Write `target` anew from `source`, telling tensors done and tensors in all.

    Raises
    ------
    CannotRewrite
        With llama.cpp's own reason.
    Cancelled
    """
    number = COPY if kind == COPY else str(TYPES[kind])
    try:
        yield from steps(MODULE, [str(source), str(target), number, architecture], cancellation)
    except ChildFailed as error:
        raise CannotRewrite(str(error)) from error


def merge(
    target: Path, parts: Sequence[Path], cancellation: Cancellation | None = None
) -> Iterator[tuple[int, int]]:
    """Write `target` from the parts of one file, telling bytes done and bytes in all.

    Raises
    ------
    CannotRewrite, Cancelled
    """
    try:
        yield from steps(MERGER, [str(target), *map(str, parts)], cancellation)
    except ChildFailed as error:
        raise CannotRewrite(str(error)) from error
