"""The store: which models there are, and changing that. Several processes may use one store.

Changes hold a lock at the store's root, where Ollama looks for nothing and prunes nothing; so it
works for all who share the folder. A manifest becomes visible by renaming: readers need no lock.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock

from ollama_nb_server.library import bundled, gguf, pruning
from ollama_nb_server.library.blobs import Blobs
from ollama_nb_server.library.digests import Digest
from ollama_nb_server.library.errors import BlobVanished, LibraryError, ModelNotFound, StoreBroken
from ollama_nb_server.library.manifest import Config, Layer, Manifest
from ollama_nb_server.library.manifests import Manifests
from ollama_nb_server.library.model import Model
from ollama_nb_server.library.names import ModelName

log = logging.getLogger(__name__)

LOCK = ".ollama-nb.lock"
Json = TypeVar("Json", dict[str, Any], list[Any])


class Store:
    """A folder in Ollama's layout. All methods block on the disk: call them off the event loop."""

    def __init__(self, root: Path, *, removes: bool = True) -> None:
        self.root = root
        self.blobs = Blobs(root / "blobs")
        self.manifests = Manifests(root)
        self._removes = removes
        self._lock = FileLock(root / LOCK, mode=0o664)

    # --- reading ----------------------------------------------------------------------------------

    def names(self) -> list[ModelName]:
        """All names that have a manifest; files that are none are left out."""
        return self.manifests.names()

    def resolve(self, name: ModelName) -> ModelName:
        """The stored spelling of a name that differs only in case."""
        return name if self.manifests.has(name) else name.folded(self.names())

    def model(self, name: ModelName, asked: str | None = None) -> Model:
        """Read a model; the bundled one is installed when it is first asked for.

        Raises
        ------
        ModelNotFound
            If there is no such manifest.
        StoreBroken, NotGGUF
            If a file of the model cannot be read.
        """
        try:
            data, modified_at = self.manifests.read(name)
        except FileNotFoundError:
            if not bundled.is_asked_for(name):
                raise ModelNotFound(
                    asked if asked is not None else name.display, name.display
                ) from None
            with self._changing():
                bundled.install(self, name)
            data, modified_at = self.manifests.read(name)
        return self._assembled(name, data, modified_at)

    def models(self) -> list[Model]:
        """Every model that can be read, the newest first."""
        found = []
        for name in self.names():
            try:
                found.append(self.model(name))
            except (LibraryError, OSError) as error:
                log.warning("%s is left out: %s", name.display, error)
        return sorted(found, key=lambda model: -int(model.modified_at))

    def _assembled(self, name: ModelName, data: bytes, modified_at: float) -> Model:
        manifest = Manifest.decode(data)
        weights = manifest.of_kind("model")
        if not weights:
            raise ModelNotFound(name.display, name.display)
        path = self.blobs.existing(weights[-1].digest)
        templates = [self._text(layer.digest) for layer in manifest.of_kind("template", "prompt")]
        systems = [self._text(layer.digest) for layer in manifest.of_kind("system")]
        return Model(
            name=name,
            digest=hashlib.sha256(data).hexdigest(),
            modified_at=modified_at,
            manifest=manifest,
            config=Config.decode(self.blobs.existing(manifest.config.digest).read_bytes()),
            weights=path,
            weights_digest=weights[-1].digest,
            metadata=gguf.read(path),
            parent=weights[-1].source,
            adapters=self._paths(manifest, "adapter"),
            projectors=self._paths(manifest, "projector"),
            template=templates[-1] if templates else None,
            system=systems[-1] if systems else "",
            parameters=self.parameters(manifest.layers),
            messages=tuple(
                m for d in manifest.of_kind("messages") for m in self._json(d.digest, list)
            ),
            licenses=tuple(self._text(layer.digest) for layer in manifest.of_kind("license")),
        )

    def parameters(self, layers: Iterable[Layer]) -> dict[str, Any]:
        """The options that a model brings along in its layers."""
        merged: dict[str, Any] = {}
        for layer in layers:
            if layer.kind == "params":
                merged |= self._json(layer.digest, dict)
        return merged

    def config(self, manifest: Manifest) -> Config:
        """A model's config."""
        return Config.decode(self.blobs.existing(manifest.config.digest).read_bytes())

    def _paths(self, manifest: Manifest, kind: str) -> tuple[Path, ...]:
        return tuple(self.blobs.existing(layer.digest) for layer in manifest.of_kind(kind))

    def _text(self, digest: Digest) -> str:
        return self.blobs.existing(digest).read_text("utf-8", "replace")

    def _json(self, digest: Digest, kind: type[Json]) -> Json:
        try:
            value = json.loads(self._text(digest))
        except ValueError as error:
            raise StoreBroken(f"blob {digest.colon} is no JSON: {error}") from error
        if not isinstance(value, kind):
            raise StoreBroken(f"blob {digest.colon} is JSON, but no {kind.__name__}")
        return value

    # --- changing ---------------------------------------------------------------------------------

    def _changing(self) -> FileLock:
        self.root.mkdir(parents=True, exist_ok=True)
        return self._lock

    def write(self, name: ModelName, manifest: Manifest, data: bytes | None = None) -> int:
        """Make a model visible; returns how many blobs went that only its predecessor used.

        Parameters
        ----------
        data
            The manifest's bytes, where a registry gave them.

        Raises
        ------
        BlobVanished
            If one of its blobs was removed meanwhile; the store is as it was.
        """
        with self._changing():
            self._require_blobs(manifest)
            before = self._used_by(name)
            self.manifests.put(name, data if data is not None else manifest.encode())
            return self._remove_unused(before - manifest.digests) if self._removes else 0

    def copy(self, source: ModelName, destination: ModelName, asked: str) -> None:
        """Give a model a second name; an existing destination is replaced.

        Raises
        ------
        ModelNotFound
            If there is no source.
        """
        with self._changing():
            self._require(source, asked)
            data, _ = self.manifests.read(source)
            if source != destination:
                self.write(destination, Manifest.decode(data), data)

    def delete(self, name: ModelName, asked: str) -> None:
        """Remove a model, and every blob that only it used.

        Raises
        ------
        ModelNotFound
            If it is not there.
        """
        with self._changing():
            self._require(name, asked)
            used = self._used_by(name)
            self.manifests.remove(name)
            self._remove_unused(used)

    def tidy(self, now: float) -> int:
        """Remove what nobody needs (`pruning`); returns how many files went. For a server's start.

        Nothing is removed where Ollama's OLLAMA_NOPRUNE forbids it, or a manifest is unreadable.
        """
        if not self.root.is_dir():
            return 0
        with self._changing():
            pruning.rename_old_blobs(self.blobs.folder)
            manifests = self.manifests.all() if self._removes else None
            if manifests is None:
                return 0
            used = {digest for manifest in manifests for digest in manifest.digests}
            removed = pruning.remove(pruning.unneeded(self.root, used, now))
            pruning.remove_empty_folders(self.manifests.folder)
            return removed

    def _require(self, name: ModelName, asked: str) -> None:
        if not self.manifests.has(name):
            raise ModelNotFound(asked, name.display)

    def _require_blobs(self, manifest: Manifest) -> None:
        for digest in manifest.digests:
            if not self.blobs.has(digest):
                raise BlobVanished(digest.colon)
            self.blobs.touch(digest)

    def _used_by(self, name: ModelName) -> set[Digest]:
        """The blobs of a model; none if it is not there, or broken."""
        try:
            manifest = self.manifests.of(name)
        except StoreBroken:
            return set()
        return manifest.digests if manifest is not None else set()

    def _remove_unused(self, digests: set[Digest]) -> int:
        """Remove what of these no manifest uses; an unreadable manifest keeps them all."""
        manifests = self.manifests.all() if digests else None
        if manifests is None:
            return 0
        unused = digests - {digest for manifest in manifests for digest in manifest.digests}
        for digest in unused:
            self.blobs.remove(digest)
        return len(unused)
