"""Tiny models of random weights: keys and tensors as values, in llama.cpp's form and in older ones.

Which tensors an architecture has, llama.cpp tells itself (`shapes`).
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFWriter

SHAPES = Path(__file__).with_name("shapes.py")
NUM_TOKENS = 128
# What llama.cpp can do without, and no model here has.
OPTIONAL = r"scale$|rope_freqs|rope_factors|\.bias$"
TOKENS = {
    "tokenizer.ggml.model": "test",
    "tokenizer.ggml.tokens": [f"tok_{i}" for i in range(NUM_TOKENS)],
    "tokenizer.ggml.scores": [0.0] * NUM_TOKENS,
}


@dataclass(frozen=True)
class Tiny:
    """One model: `keys` without the architecture's name stand for its own."""

    architecture: str
    keys: Mapping[str, Any]
    tensors: Mapping[str, np.ndarray]

    def named(self, changes: Mapping[str, str]) -> Tiny:
        """The same with other names of tensors: what regular expressions find, and what to put."""
        tensors = dict(self.tensors)
        for pattern, put in changes.items():
            tensors = {re.sub(pattern, put, name): tensor for name, tensor in tensors.items()}
        return replace(self, tensors=tensors)

    def keyed(self, *without: str, **values: Any) -> Tiny:
        """The same with other keys; `__` stands for the dot."""
        keys = {key: value for key, value in self.keys.items() if key not in without}
        return replace(self, keys=keys | {k.replace("__", "."): v for k, v in values.items()})

    def holding(self, **shapes: tuple[int, ...]) -> Tiny:
        """The same with more tensors; `__` stands for the dot."""
        more = {name.replace("__", "."): shape for name, shape in shapes.items()}
        return replace(self, tensors={**self.tensors, **_weights(more)})

    def halved(self, whole: str, first: str, second: str) -> Tiny:
        """The same with two tensors where one was, cut along the rows."""
        tensors: dict[str, np.ndarray] = {}
        for name, tensor in self.tensors.items():
            if whole in name:
                halves = np.split(tensor, 2, axis=-2)
                names = (name.replace(whole, part) for part in (first, second))
                tensors |= dict(zip(names, map(np.ascontiguousarray, halves), strict=True))
            else:
                tensors[name] = tensor
        return replace(self, tensors=tensors)

    def longer(self, name: str, num_rows: int) -> Tiny:
        """The same with more rows in one tensor."""
        tensor = self.tensors[name]
        more = _weight("more", (num_rows - len(tensor), *tensor.shape[1:]))
        return replace(self, tensors={**self.tensors, name: np.concatenate([tensor, more])})

    def called(self, architecture: str) -> Tiny:
        """The same by another name."""
        return replace(self, architecture=architecture)

    def write(self, path: Path) -> Path:
        """Write it as a GGUF file."""
        writer = GGUFWriter(path, self.architecture)
        _put(writer, self.architecture, self.keys)
        for name, tensor in self.tensors.items():
            writer.add_tensor(name, tensor)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path


def made(architecture: str, keys: Mapping[str, Any], without: str = "", only: str = "") -> Tiny:
    """A model of these keys; tensors that match `without` are left out, `only` are kept anyhow."""
    whole = TOKENS | dict(keys)
    shapes = _shapes(architecture, tuple((k, _frozen(v)) for k, v in whole.items()))
    kept = {
        name: shape
        for name, shape in shapes.items()
        if (only and re.search(only, name))
        or not re.search(f"{OPTIONAL}|{without}" if without else OPTIONAL, name)
    }
    return Tiny(architecture, whole, _weights(kept))


def weighted(architecture: str, keys: Mapping[str, Any], shapes: Mapping[str, Any]) -> Tiny:
    """A file of these keys and tensors, as they are."""
    return Tiny(architecture, keys, _weights(shapes))


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


@lru_cache(maxsize=64)
def _shapes(architecture: str, keys: tuple[tuple[str, Any], ...]) -> dict[str, tuple[int, ...]]:
    thawed = {k: list(v) if isinstance(v, tuple) else v for k, v in keys}
    with tempfile.TemporaryDirectory() as folder:
        path = Tiny(architecture, thawed, {}).write(Path(folder) / "header.gguf")
        command = [sys.executable, str(SHAPES), str(path)]
        told = subprocess.run(command, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr[-2000:]
    lines = (line.split() for line in told.stdout.splitlines())
    return {name: _dims([int(dim) for dim in dims]) for name, *dims in lines}


def _dims(dims: list[int]) -> tuple[int, ...]:
    """As NumPy has them: the other way round, without the ones that ggml adds."""
    while len(dims) > 1 and dims[-1] == 1:
        dims = dims[:-1]
    return tuple(reversed(dims))


def _weights(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    return {name: _weight(name, shape) for name, shape in shapes.items()}


def _weight(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Random numbers that depend on the name alone; norms are near 1, decays negative."""
    values = np.random.default_rng(zlib.crc32(name.encode())).normal(0, 0.25, shape)
    if name.endswith("norm.weight"):
        values += 1
    if name.endswith("ssm_a"):
        values = -np.abs(values)
    return values.astype(np.float32)


def _put(writer: GGUFWriter, architecture: str, keys: Mapping[str, Any]) -> None:
    for short, value in keys.items():
        general = short.startswith(("tokenizer.", "general.", "clip."))
        key = short if general else f"{architecture}.{short}"
        if isinstance(value, bool):
            writer.add_bool(key, value)
        elif isinstance(value, int):
            writer.add_uint32(key, value)
        elif isinstance(value, float):
            writer.add_float32(key, value)
        elif isinstance(value, str):
            writer.add_string(key, value)
        else:
            writer.add_array(key, value)
