"""The layers of a model in the making, in order, and what the client is told of each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ollama_nb_server.library import gojson
from ollama_nb_server.library.blobs import Blobs
from ollama_nb_server.library.create.progress import Progress
from ollama_nb_server.library.digests import Digest
from ollama_nb_server.library.manifest import LAYER_TYPE, Layer


class Layers:
    """Adds blobs to the store and keeps the layers that name them."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._told: list[tuple[Layer, str]] = []

    @property
    def all(self) -> tuple[Layer, ...]:
        """The layers, in order."""
        return tuple(layer for layer, _ in self._told)

    def keep(self, layer: Layer) -> None:
        """Take a layer whose blob is in the store."""
        self._blobs.touch(layer.digest)
        self._add(layer, new=False)

    def adopt(self, file: Path, kind: str) -> Path:
        """Make a file that lies among the blobs a layer; returns its path as a blob."""
        digest, new = self._blobs.adopt(file)
        path = self._blobs.existing(digest)
        self._add(Layer(f"{LAYER_TYPE}{kind}", digest, path.stat().st_size), new=new)
        return path

    def append(self, kind: str, data: bytes, status: str = "") -> None:
        """Add a layer with these bytes; `status` is told instead of whether it is new."""
        digest, new = self._blobs.add(data)
        self._add(Layer(f"{LAYER_TYPE}{kind}", digest, len(data)), new=new, status=status)

    def drop(self, kind: str) -> None:
        """Forget all layers of a kind."""
        self._told = [(layer, told) for layer, told in self._told if layer.kind != kind]

    def replace(self, kind: str, data: bytes) -> None:
        """Add a layer with these bytes in place of all layers of that kind."""
        self.drop(kind)
        self.append(kind, data)

    def set_parameters(self, parameters: dict[str, Any]) -> None:
        """Replace the options that the model brings along."""
        self.replace("params", gojson.encode(parameters, sort_keys=True))

    def add_config(self, data: bytes) -> Digest:
        """Store the config, of which nothing is told."""
        return self._blobs.add(data)[0]

    def statuses(self) -> Iterator[Progress]:
        """A line for each layer."""
        return (Progress(status) for _, status in self._told)

    def _add(self, layer: Layer, *, new: bool, status: str = "") -> None:
        how = "creating new layer" if new else "using existing layer"
        self._told.append((layer, status or f"{how} {layer.digest.colon}"))
