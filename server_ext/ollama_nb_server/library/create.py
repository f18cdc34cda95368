"""Makes a model: from files, or from another model, with new texts and options over it.

The steps of reference/ollama-models.md 4.6, each telling its progress. The manifest is written
last: a create that fails leaves no model, only blobs that pruning finds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any

from ollama_nb_server.library import gguf, gojson
from ollama_nb_server.library.bundled import config_of
from ollama_nb_server.library.digests import Digest
from ollama_nb_server.library.errors import (
    BadLicense,
    InvalidDigest,
    NothingToCreateFrom,
    NotRelative,
    OneAdapterOnly,
    UnknownFileType,
)
from ollama_nb_server.library.manifest import CONFIG_TYPE, LAYER_TYPE, Config, Layer, Manifest
from ollama_nb_server.library.names import ModelName
from ollama_nb_server.library.store import Store

VALIDATING_DIGEST = "0000000000000000000"


@dataclass(frozen=True, slots=True)
class Progress:
    """One thing that happened."""

    status: str
    digest: str = ""
    total: int = 0
    completed: int = 0


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a model is to be made of; None or empty: not given."""

    name: ModelName
    source: ModelName | None = None
    files: Mapping[str, str] | None = None
    adapters: Mapping[str, str] | None = None
    template: str = ""
    system: str = ""
    license: Any = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    messages: Sequence[Mapping[str, Any]] = ()
    renderer: str = ""
    parser: str = ""
    requires: str = ""

    def check(self) -> None:
        """Refuse what is wrong whatever the store holds.

        Raises
        ------
        NothingToCreateFrom, NotRelative, InvalidDigest, UnknownFileType, OneAdapterOnly
        """
        for files in (self.files, self.adapters):
            for path, digest in (files or {}).items():
                check_path(path)
                if not digest:
                    raise InvalidDigest(digest)
        if self.source is None and self.files is None:
            raise NothingToCreateFrom
        if self.source is None and not self.files:
            raise UnknownFileType
        if len(self.adapters or ()) > 1:
            raise OneAdapterOnly


def check_path(path: str) -> None:
    """Refuse a file name that leads out of its folder."""
    pure = PurePosixPath(path.replace("\\", "/"))
    if pure.is_absolute() or ".." in pure.parts or not path or path[1:2] == ":":
        raise NotRelative(path)


class Creation:
    """One create on its way."""

    def __init__(self, store: Store, recipe: Recipe) -> None:
        self._store, self._recipe = store, recipe
        self._layers: list[Layer] = []
        self._config = Config()
        self._fresh: set[Digest] = set()

    def run(self) -> Iterator[Progress]:
        """Do it, step by step.

        Raises
        ------
        LibraryError, OSError
            The store is as it was then, but for blobs.
        """
        recipe = self._recipe
        if recipe.source is not None:
            self._take_over(recipe.source)
        else:
            yield from self._add_files(recipe.files or {}, "model")
        yield from self._add_files(recipe.adapters or {}, "adapter")
        self._dress()
        self._config = replace(
            self._config,
            renderer=recipe.renderer or self._config.renderer,
            parser=recipe.parser or self._config.parser,
            requires=recipe.requires or self._config.requires,
        )
        for layer in self._layers:
            yield self._told(layer)
        data = self._config.encode()
        digest, _ = self._store.blobs.add(data)
        yield Progress("writing manifest")
        manifest = Manifest(Layer(CONFIG_TYPE, digest, len(data)), tuple(self._layers))
        self._store.write(recipe.name, manifest)
        yield Progress("success")

    def _take_over(self, source: ModelName) -> None:
        model = self._store.model(source)
        display = model.name.display
        self._layers = [replace(layer, source=display) for layer in model.manifest.layers]
        self._config = model.config

    def _add_files(self, files: Mapping[str, str], wanted: str) -> Iterator[Progress]:
        for path, text in files.items():
            if not path.endswith(".gguf") and not self._is_gguf(text):
                raise UnknownFileType
            yield Progress("parsing GGUF")
            digest = Digest.parse(text)
            blob = self._store.blobs.existing(digest)
            metadata = gguf.read(blob)
            kind = layer_kind(metadata) if wanted == "model" else wanted
            size = blob.stat().st_size
            if kind == "model":
                yield Progress("validating GGUF model", VALIDATING_DIGEST, size, size)
                yield Progress("verifying conversion")
                self._config = config_of(metadata)
            self._store.blobs.touch(digest)
            self._layers.append(Layer(f"{LAYER_TYPE}{kind}", digest, size, path))

    def _is_gguf(self, digest: str) -> bool:
        with self._store.blobs.existing(Digest.parse(digest)).open("rb") as file:
            return file.read(len(gguf.MAGIC)) == gguf.MAGIC

    def _dress(self) -> None:
        recipe = self._recipe
        if recipe.template:
            self._replace("template", recipe.template.encode())
        if recipe.system:
            self._replace("system", recipe.system.encode())
        for text in licenses(recipe.license):
            self._append("license", text.encode())
        if recipe.parameters:
            merged = {**self._inherited_parameters(), **recipe.parameters}
            self._replace("params", gojson.encode(merged, sort_keys=True))
        if recipe.messages:
            self._replace("messages", gojson.encode(list(recipe.messages)))

    def _inherited_parameters(self) -> dict[str, Any]:
        return self._store.parameters(
            Manifest(Layer(CONFIG_TYPE, Digest(""), 0), tuple(self._layers))
        )

    def _replace(self, kind: str, data: bytes) -> None:
        self._layers = [layer for layer in self._layers if layer.kind != kind]
        self._append(kind, data)

    def _append(self, kind: str, data: bytes) -> None:
        digest, new = self._store.blobs.add(data)
        if new:
            self._fresh.add(digest)
        self._layers.append(Layer(f"{LAYER_TYPE}{kind}", digest, len(data)))

    def _told(self, layer: Layer) -> Progress:
        how = "creating new layer" if layer.digest in self._fresh else "using existing layer"
        return Progress(f"{how} {layer.digest.colon}")


def layer_kind(metadata: gguf.GGUFMetadata) -> str:
    """Which layer a GGUF file is: model, adapter or projector."""
    if metadata.kind == "adapter":
        return "adapter"
    architecture = metadata.architecture
    sees = f"{architecture}.vision.block_count" in metadata.values
    reads = f"{architecture}.block_count" in metadata.values
    clip = architecture == "clip" and not reads
    return (
        "projector"
        if metadata.kind in ("projector", "mmproj") or clip or (sees and not reads)
        else "model"
    )


def licenses(value: Any) -> list[str]:
    """`license` as a list of texts.

    Raises
    ------
    BadLicense
        For anything but a text or a list of texts.
    """
    if value is None or value == "":
        return []
    if isinstance(value, str):
        return [value]
    if isinstance(value, list) and all(isinstance(text, str) for text in value):
        return [text for text in value if text]
    kinds = {bool: "bool", int: "number", float: "number", dict: "object"}
    raise BadLicense(kinds.get(type(value), "array"))


def create(store: Store, recipe: Recipe) -> Iterator[Progress]:
    """Make a model; see `Creation.run`. Checks that need no store are made at once."""
    recipe.check()
    licenses(recipe.license)
    return Creation(store, recipe).run()
