"""Reads a file's header: first the counts, then the keys, then the tensors; each is checked."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ollama_nb_server.library.errors import NotGGUF
from ollama_nb_server.library.gguf.cursor import Cursor
from ollama_nb_server.library.gguf.metadata import GGUFMetadata
from ollama_nb_server.library.gguf.tables import MAGIC, VERSIONS
from ollama_nb_server.library.gguf.tensors import (
    StoredTensors,
    check_layout,
    count_elements,
    read_tensors,
)
from ollama_nb_server.library.gguf.values import read_value

MAX_KEYS, MAX_TENSORS = 65_536, 65_536
MAX_KEY_BYTES = 65_535  # the format's own limit


def read(path: Path) -> GGUFMetadata:
    """Read a file's header.

    Raises
    ------
    NotGGUF
        If it is none, of another version, broken, or shorter than its tensors.
    OSError
        If it cannot be read.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        cursor = Cursor(file, size)
        if size < len(MAGIC) or cursor.take(len(MAGIC)) != MAGIC:
            raise NotGGUF
        _check_version(cursor.u32())
        num_tensors, num_keys = cursor.u64(), cursor.u64()
        if num_tensors > MAX_TENSORS or num_keys > MAX_KEYS:
            raise NotGGUF(f"{num_tensors} tensors and {num_keys} keys are too many")
        values = _values(cursor, num_keys)
        place = cursor.place
        tensors = read_tensors(cursor, num_tensors)
        alignment = _alignment(values)
        check_layout(tensors, -(-cursor.place // alignment) * alignment, alignment, size)
    stored = StoredTensors(path, place, num_tensors, count_elements(tensors))
    return GGUFMetadata(path, values, stored)


def _check_version(version: int) -> None:
    if version in VERSIONS:
        return
    if version & 0xFFFF == 0:
        raise NotGGUF("it is for big-endian machines: get the little-endian file of the model")
    raise NotGGUF(
        f"version {version} is not known here, only 2 and 3 are: convert the model again, or get a "
        "newer file of it"
    )


def _values(cursor: Cursor, count: int) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for _ in range(count):
        key = cursor.text(MAX_KEY_BYTES)
        if key in values:
            raise NotGGUF(f"the key {key!r} appears twice")
        values[key] = read_value(cursor, cursor.u32())
    return values


def _alignment(values: dict[str, Any]) -> int:
    alignment = values.get("general.alignment", 32)
    if isinstance(alignment, bool) or not isinstance(alignment, int):
        raise NotGGUF(f"general.alignment is {alignment!r}, no number")
    if alignment <= 0 or alignment & (alignment - 1):
        raise NotGGUF(f"general.alignment is {alignment}, no power of two")
    return alignment
