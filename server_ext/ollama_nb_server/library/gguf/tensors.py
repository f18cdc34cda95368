"""The tensors that a header lists: read, checked against the file, and read again on demand."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from struct import Struct
from typing import overload

from ollama_nb_server.library.errors import NotGGUF
from ollama_nb_server.library.gguf.cursor import Cursor
from ollama_nb_server.library.gguf.tables import TYPES

MAX_NAME_BYTES = 255  # llama.cpp takes 63
MAX_DIMS, MAX_ELEMENTS = 4, 1 << 62
FORMS = [Struct(f"<{num_dims}QIQ") for num_dims in range(MAX_DIMS + 1)]  # shape, type, offset


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
        return TYPES[self.kind][0]

    @property
    def num_elements(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    @property
    def num_bytes(self) -> int:
        """Bytes in the file."""
        _, block, size = TYPES[self.kind]
        return self.num_elements // block * size


@dataclass(frozen=True, slots=True)
class StoredTensors(Sequence[Tensor]):
    """The tensors of a header that was checked before: where their list begins, how many."""

    path: Path
    place: int
    length: int
    num_elements: int

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self._all())

    @overload
    def __getitem__(self, index: int) -> Tensor: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Tensor]: ...
    def __getitem__(self, index: int | slice) -> Tensor | Sequence[Tensor]:
        return self._all()[index]

    def _all(self) -> tuple[Tensor, ...]:
        if not self.length:
            return ()
        stat = self.path.stat()
        return _read_again(self.path, stat.st_size, stat.st_mtime_ns, self.place, self.length)


@lru_cache(maxsize=8)
def _read_again(path: Path, size: int, _: int, place: int, count: int) -> tuple[Tensor, ...]:
    with path.open("rb") as file:
        return read_tensors(Cursor(file, size, place), count)


def count_elements(tensors: Iterable[Tensor]) -> int:
    """Values of all tensors together."""
    if isinstance(tensors, StoredTensors):
        return tensors.num_elements
    return sum(tensor.num_elements for tensor in tensors)


def read_tensors(cursor: Cursor, count: int) -> tuple[Tensor, ...]:
    """The list of tensors that begins here.

    Raises
    ------
    NotGGUF
        If one cannot be.
    """
    return tuple(_read_tensor(cursor) for _ in range(count))


def _read_tensor(cursor: Cursor) -> Tensor:
    name, num_dims = cursor.text(MAX_NAME_BYTES), cursor.u32()
    if num_dims > MAX_DIMS:
        raise NotGGUF(f"tensor {name!r} has {num_dims} dimensions, {MAX_DIMS} are allowed")
    form = FORMS[num_dims]
    *shape, kind, offset = form.unpack(cursor.take(form.size))
    tensor = Tensor(name, tuple(shape), kind, offset)
    _check_tensor(tensor)
    return tensor


def _check_tensor(tensor: Tensor) -> None:
    if tensor.kind not in TYPES:
        raise NotGGUF(f"tensor {tensor.name!r} is of type {tensor.kind}, which is not known here")
    if not 0 < tensor.num_elements <= MAX_ELEMENTS:
        raise NotGGUF(f"tensor {tensor.name!r} cannot have the shape {list(tensor.shape)}")
    kind, block, _ = TYPES[tensor.kind]
    row = tensor.shape[0] if tensor.shape else 1
    if row % block:
        raise NotGGUF(
            f"tensor {tensor.name!r} has rows of {row}, but {kind} needs a multiple of {block}"
        )


def check_layout(tensors: Sequence[Tensor], start: int, alignment: int, size: int) -> None:
    """Every tensor has a name and a place of its own, inside the file.

    Raises
    ------
    NotGGUF
        If not.
    """
    if len({tensor.name for tensor in tensors}) < len(tensors):
        raise NotGGUF("two of its tensors have the same name")
    end = 0
    for tensor in sorted(tensors, key=lambda tensor: tensor.offset):
        if tensor.offset % alignment:
            raise NotGGUF(f"tensor {tensor.name!r} is not aligned to {alignment} bytes")
        if tensor.offset < end:
            raise NotGGUF(f"tensor {tensor.name!r} lies over another one")
        end = tensor.offset + tensor.num_bytes
    if tensors and start + end > size:
        raise NotGGUF(f"the file ends {start + end - size} bytes before its tensors do")
