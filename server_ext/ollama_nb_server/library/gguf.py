"""Reads a GGUF file's header: metadata and tensor list, lazily and within bounds.

Long arrays (vocabularies) are skipped and read only when asked for; every length is checked against
the file's size before memory is taken for it.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, BinaryIO

from ollama_nb_server.library.errors import NotGGUF

MAGIC = b"GGUF"
VERSIONS = (2, 3)
MAX_KEYS, MAX_TENSORS, MAX_DIMS, MAX_DEPTH = 65_536, 1_000_000, 8, 4
SHORT_ARRAY = 64  # arrays up to this length are kept, longer ones are skipped
STRING, ARRAY = 8, 9
SCALARS = {
    0: "B",
    1: "b",
    2: "H",
    3: "h",
    4: "I",
    5: "i",
    6: "f",
    7: "?",
    10: "Q",
    11: "q",
    12: "d",
}

# ggml type -> (name, elements in a block, bytes of a block); ggml.h and ggml-quants.h
TYPES: dict[int, tuple[str, int, int]] = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 9: ("Q8_1", 32, 36), 10: ("Q2_K", 256, 84),
    11: ("Q3_K", 256, 110), 12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210),
    15: ("Q8_K", 256, 292), 16: ("IQ2_XXS", 256, 66), 17: ("IQ2_XS", 256, 74),
    18: ("IQ3_XXS", 256, 98),
    19: ("IQ1_S", 256, 50), 20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110), 22: ("IQ2_S", 256, 82),
    23: ("IQ4_XS", 256, 136), 24: ("I8", 1, 1), 25: ("I16", 1, 2), 26: ("I32", 1, 4),
    27: ("I64", 1, 8),
    28: ("F64", 1, 8), 29: ("IQ1_M", 256, 56), 30: ("BF16", 1, 2), 34: ("TQ1_0", 256, 54),
    35: ("TQ2_0", 256, 66), 39: ("MXFP4", 32, 17), 40: ("NVFP4", 64, 36),
}  # fmt: skip

# general.file_type -> name; reference/ollama-models.md 4.7
FILE_TYPES: dict[int, str] = {
    1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S",
    12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K",
    19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S",
    25: "IQ4_NL",
    26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S", 29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16",
    36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4_MOE", 39: "NVFP4", 40: "Q1_0",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor as the header lists it; `shape` as stored, `offset` from the start of the data."""

    name: str
    shape: tuple[int, ...]
    kind: int
    offset: int

    @property
    def type_name(self) -> str:
        """Ggml's name of its type."""
        return TYPES[self.kind][0] if self.kind in TYPES else f"type {self.kind}"

    @property
    def num_elements(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    @property
    def num_bytes(self) -> int:
        """Bytes in the file (0 for a type that is not known here)."""
        _, block, size = TYPES.get(self.kind, ("", 1, 0))
        return self.num_elements // block * size


@dataclass(frozen=True, slots=True)
class LongArray:
    """Stands for an array that was skipped: where it lies, what it holds, how many."""

    offset: int
    kind: int
    length: int


class _Reader:
    """Takes values off a file, never more than there is."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.file, self.size = file, size

    def take(self, count: int) -> bytes:
        if count > self.size - self.file.tell():
            raise NotGGUF("the file ends too early")
        data = self.file.read(count)
        if len(data) < count:
            raise NotGGUF("the file ends too early")
        return data

    def skip(self, count: int) -> None:
        if count > self.size - self.file.tell():
            raise NotGGUF("the file ends too early")
        self.file.seek(count, 1)

    def scalar(self, kind: int) -> Any:
        code = SCALARS.get(kind)
        if code is None:
            raise NotGGUF(f"unknown metadata type {kind}")
        return struct.unpack(f"<{code}", self.take(struct.calcsize(code)))[0]

    def u32(self) -> int:
        return int(self.scalar(4))

    def u64(self) -> int:
        return int(self.scalar(10))

    def text(self) -> str:
        return self.take(self.u64()).decode("utf-8", "replace")

    def value(self, kind: int, depth: int = 0) -> Any:
        if kind == STRING:
            return self.text()
        if kind == ARRAY:
            return self.array(depth + 1)
        return self.scalar(kind)

    def array(self, depth: int) -> Any:
        kind, length = self.u32(), self.u64()
        if depth > MAX_DEPTH or length > self.size:
            raise NotGGUF("an array is nested too deeply or longer than the file")
        if length <= SHORT_ARRAY:
            return [self.value(kind, depth) for _ in range(length)]
        found = LongArray(self.file.tell(), kind, length)
        self._pass(kind, length, depth)
        return found

    def _pass(self, kind: int, length: int, depth: int) -> None:
        if kind == STRING:
            for _ in range(length):
                self.skip(self.u64())
        elif kind == ARRAY:
            for _ in range(length):
                self.array(depth + 1)
        elif kind in SCALARS:
            self.skip(length * struct.calcsize(SCALARS[kind]))
        else:
            raise NotGGUF(f"unknown array type {kind}")

    def tensor(self) -> Tensor:
        name, dims = self.text(), self.u32()
        if dims > MAX_DIMS:
            raise NotGGUF(f"tensor {name!r} has {dims} dimensions")
        shape = tuple(self.u64() for _ in range(dims))
        return Tensor(name, shape, self.u32(), self.u64())


@dataclass(frozen=True)
class GGUFMetadata:
    """The header of one file. Long arrays are read from the file when they are asked for."""

    path: Path
    values: dict[str, Any]
    tensors: tuple[Tensor, ...] = field(repr=False, default=())

    def get(self, key: str, default: Any = None) -> Any:
        """A value by its key; long arrays are read now."""
        value = self.values.get(key, default)
        return self._read(value) if isinstance(value, LongArray) else value

    def of_architecture(self, key: str, default: Any = None) -> Any:
        """`<architecture>.<key>`."""
        return self.get(f"{self.architecture}.{key}", default)

    def items(self, *, arrays: bool) -> Iterator[tuple[str, Any]]:
        """All keys; without `arrays`, every array is None."""
        for key, value in self.values.items():
            if isinstance(value, LongArray | list):
                yield key, self.get(key) if arrays else None
            else:
                yield key, value

    def _read(self, array: LongArray) -> list[Any]:
        with self.path.open("rb") as file:
            file.seek(array.offset)
            reader = _Reader(file, self.path.stat().st_size)
            if array.kind in SCALARS:
                code = SCALARS[array.kind]
                data = reader.take(array.length * struct.calcsize(code))
                return list(struct.unpack(f"<{array.length}{code}", data))
            return [reader.value(array.kind) for _ in range(array.length)]

    @property
    def architecture(self) -> str:
        """`general.architecture`."""
        return str(self.values.get("general.architecture", "unknown"))

    @property
    def kind(self) -> str:
        """`general.type`: model, adapter, projector, ..."""
        return str(self.values.get("general.type", "model"))

    @property
    def chat_template(self) -> str:
        """The Jinja chat template, or nothing."""
        value = self.values.get("tokenizer.chat_template")
        return value if isinstance(value, str) else ""

    @property
    def context_length(self) -> int:
        """Tokens that the model was trained with (0: not told)."""
        return int(self.of_architecture("context_length", 0))

    @property
    def embedding_length(self) -> int:
        """Length of an embedding (0: not told)."""
        return int(self.of_architecture("embedding_length", 0))

    @property
    def pools(self) -> bool:
        """Whether it has a pooling type: then it embeds and does nothing else."""
        return f"{self.architecture}.pooling_type" in self.values

    @property
    def file_type(self) -> str:
        """Name of the quantisation."""
        return FILE_TYPES.get(int(self.values.get("general.file_type", 0)), "unknown")

    @cached_property
    def parameter_count(self) -> int:
        """Number of all tensors' values."""
        return sum(tensor.num_elements for tensor in self.tensors)

    @property
    def parameter_size(self) -> str:
        """The same for people: `8.0B`, `915K`."""
        return human_number(self.parameter_count)


def human_number(count: int) -> str:
    """`8.0B` style numbers, as Ollama prints them."""
    if count >= 1_000_000_000:
        number = count / 1e9
        return f"{number:.0f}B" if number == math.floor(number) else f"{number:.1f}B"
    if count >= 1_000_000:
        number = count / 1e6
        return f"{number:.0f}M" if number == math.floor(number) else f"{number:.2f}M"
    return f"{count / 1000:.0f}K" if count >= 1000 else str(count)


def read(path: Path) -> GGUFMetadata:
    """Read a file's header.

    Raises
    ------
    NotGGUF
        If it is none, of another version, broken, or shorter than its tensors.
    OSError
        If it cannot be read.
    """
    stat = path.stat()
    return _read(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=256)
def _read(path: Path, size: int, _: int) -> GGUFMetadata:
    with path.open("rb") as file:
        reader = _Reader(file, size)
        if reader.take(4) != MAGIC:
            raise NotGGUF
        version = reader.u32()
        if version not in VERSIONS:
            raise NotGGUF(f"version {version} is not known here, only 2 and 3 are")
        num_tensors, num_keys = reader.u64(), reader.u64()
        if num_tensors > MAX_TENSORS or num_keys > MAX_KEYS:
            raise NotGGUF(f"{num_tensors} tensors and {num_keys} keys are too many")
        values = {reader.text(): reader.value(reader.u32()) for _ in range(num_keys)}
        tensors = tuple(reader.tensor() for _ in range(num_tensors))
        _check_data(tensors, values, file.tell(), size)
    return GGUFMetadata(path, values, tensors)


def _check_data(
    tensors: tuple[Tensor, ...], values: dict[str, Any], header_end: int, size: int
) -> None:
    """Every tensor must lie inside the file."""
    alignment = values.get("general.alignment", 32)
    if not isinstance(alignment, int) or alignment <= 0:
        raise NotGGUF(f"general.alignment is {alignment!r}")
    start = -(-header_end // alignment) * alignment
    end = max((start + t.offset + t.num_bytes for t in tensors), default=0)
    if end > size:
        raise NotGGUF(f"the file ends {end - size} bytes before its tensors do")
