"""Tensors in safetensors files: where each lies, and its values, a piece at a time."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open

from ollama_nb_server.library.convert.errors import BadWeights

Floats = npt.NDArray[np.float32]
CHUNK_VALUES = 256 << 10  # 1 MiB of F32, which stays in a processor's cache
LENGTH_BYTES = 8  # of the header's length, at the file's start
NUMPY = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}


@dataclass(frozen=True, slots=True)
class Stored:
    """A tensor in a file."""

    name: str
    kind: str
    shape: tuple[int, ...]
    path: Path
    offset: int

    @property
    def num_values(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    def chunks(self) -> Iterator[Floats]:
        """All values in order as F32, some millions at a time.

        Raises
        ------
        BadWeights
            For a kind that holds no plain floating-point numbers.
        """
        kind = self._numpy()
        for start in range(0, self.num_values, CHUNK_VALUES):
            count = min(CHUNK_VALUES, self.num_values - start)
            offset = self.offset + start * kind.itemsize
            raw = np.fromfile(self.path, kind, count, offset=offset)
            if len(raw) < count:
                raise BadWeights(f"{self.path.name} ends inside {self.name}")
            yield _widened(raw) if self.kind == "BF16" else raw.astype(np.float32)

    def _numpy(self) -> np.dtype[np.generic]:
        if self.kind not in NUMPY:
            raise BadWeights(
                f"{self.name} is stored as {self.kind}: only {', '.join(NUMPY)} can be converted "
                "(take the model's unquantised weights)"
            )
        return np.dtype(NUMPY[self.kind])


def _widened(raw: npt.NDArray[np.generic]) -> Floats:
    """BF16 is the upper half of an F32."""
    widened: Floats = (raw.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return widened


def read(paths: Iterable[Path]) -> dict[str, Stored]:
    """All tensors of the files by name.

    Raises
    ------
    BadWeights
        For a broken file, or a tensor that two files hold.
    """
    found: dict[str, Stored] = {}
    for path in paths:
        for tensor in _tensors(path):
            if tensor.name in found:
                raise BadWeights(
                    f"both {found[tensor.name].path.name} and {path.name} hold {tensor.name}"
                )
            found[tensor.name] = tensor
    return found


def _tensors(path: Path) -> Iterator[Stored]:
    """What the header lists. The package has checked it: lengths, offsets, sizes of the kinds."""
    try:
        with safe_open(path, framework="numpy"):
            pass
    except SafetensorError as error:
        raise BadWeights(f"{path.name} is no whole safetensors file: {error}") from error
    with path.open("rb") as file:
        length = int.from_bytes(file.read(LENGTH_BYTES), "little")
        header = json.loads(file.read(length))
    for name, entry in header.items():
        if name != "__metadata__":
            start = LENGTH_BYTES + length + int(entry["data_offsets"][0])
            yield Stored(name, entry["dtype"], tuple(entry["shape"]), path, start)


def check_all_there(stored: Mapping[str, Stored], promised: set[str]) -> None:
    """Refuse files that do not hold what their index promises.

    Raises
    ------
    BadWeights
    """
    if missing := sorted(promised - set(stored)):
        raise BadWeights(f"{len(missing)} tensors of the index are missing, such as {missing[0]}")
