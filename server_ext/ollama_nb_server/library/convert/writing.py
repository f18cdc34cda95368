"""Writes a GGUF file: the header first, then one tensor at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from gguf import GGML_QUANT_SIZES, GGUFWriter

from ollama_nb_server.library.convert.metadata import Metadata
from ollama_nb_server.library.convert.tensors import Planned


def write(
    target: Path, architecture: str, metadata: Metadata, tensors: Sequence[Planned]
) -> Iterator[tuple[int, int]]:
    """Write all of it, telling bytes of tensors written and in all.

    Keys are sorted by name and tensors by block and name, so that equal input gives equal files.
    """
    ordered = sorted(tensors, key=_place)
    sizes = [_num_bytes(tensor) for tensor in ordered]
    writer = GGUFWriter(target, architecture)
    for key in sorted(metadata):
        value = metadata[key]
        writer.add_key_value(key, value.value, value.kind, value.items)
    for tensor, size in zip(ordered, sizes, strict=True):
        writer.add_tensor_info(tensor.name, tensor.shape, tensor.numpy, size, tensor.kind)
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        done, total = 0, sum(sizes)
        for tensor, size in zip(ordered, sizes, strict=True):
            writer.write_tensor_data(tensor.data())
            done += size
            yield done, total
    finally:
        writer.close()


def _num_bytes(tensor: Planned) -> int:
    block, size = GGML_QUANT_SIZES[tensor.kind]
    return math.prod(tensor.shape) // block * size


def _place(tensor: Planned) -> tuple[int, str]:
    """Tensors outside the blocks come first."""
    parts = tensor.name.split(".")
    block = int(parts[1]) if parts[0] == "blk" else -1
    return block, tensor.name
