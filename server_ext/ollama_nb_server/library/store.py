"""The store: which models there are, and changing that. Several processes may use one store.

Changes hold a lock that lies outside the store (Ollama prunes what it does not know); a manifest
becomes visible by renaming, so readers need none.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock
from jupyter_core.paths import jupyter_runtime_dir

from ollama_nb_server.library import bundled, gguf
from ollama_nb_server.library.blobs import Blobs
from ollama_nb_server.library.digests import Digest
from ollama_nb_server.library.errors import InvalidName, LibraryError, ModelNotFound, StoreBroken
from ollama_nb_server.library.manifest import Config, Manifest
from ollama_nb_server.library.model import Model
from ollama_nb_server.library.names import ModelName

log = logging.getLogger(__name__)


class Store:
    """A folder in Ollama's layout. All methods block on the disk: call them off the event loop."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.blobs = Blobs(root / "blobs")
        self._manifests = root / "manifests"
        self._lock = FileLock(lock_path(root))

    # --- reading ----------------------------------------------------------------------------------

    def names(self) -> list[ModelName]:
        """All names that have a manifest; files that are none are left out."""
        found = []
        for path in self._manifests.glob("*/*/*/*"):
            try:
                name = ModelName.of_path(path.relative_to(self._manifests).parts)
            except InvalidName:
                log.warning("%s is no manifest of a model and is left alone", path)
                continue
            if path.is_file():
                found.append(name)
        return found

    def resolve(self, name: ModelName) -> ModelName:
        """The stored spelling of a name that differs only in case."""
        return name if self._path(name).is_file() else name.folded(self.names())

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
            data, modified_at = self._read(name)
        except FileNotFoundError:
            if not bundled.is_asked_for(name):
                raise ModelNotFound(
                    asked if asked is not None else name.display, name.display
                ) from None
            with self._changing():
                bundled.install(self, name)
            data, modified_at = self._read(name)
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

    def manifest(self, name: ModelName) -> Manifest | None:
        """A model's manifest, or None if there is none."""
        try:
            return Manifest.decode(self._read(name)[0])
        except FileNotFoundError:
            return None

    def _read(self, name: ModelName) -> tuple[bytes, float]:
        path = self._path(name)
        return path.read_bytes(), path.stat().st_mtime

    def _path(self, name: ModelName) -> Path:
        return self._manifests.joinpath(*name.parts)

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
            parameters=self.parameters(manifest),
            messages=tuple(m for d in manifest.of_kind("messages") for m in self._json(d.digest)),
            licenses=tuple(self._text(layer.digest) for layer in manifest.of_kind("license")),
        )

    def parameters(self, manifest: Manifest) -> dict[str, Any]:
        """The options that a model brings along."""
        merged: dict[str, Any] = {}
        for layer in manifest.of_kind("params"):
            merged |= self._json(layer.digest)
        return merged

    def config(self, manifest: Manifest) -> Config:
        """A model's config."""
        return Config.decode(self.blobs.existing(manifest.config.digest).read_bytes())

    def _paths(self, manifest: Manifest, kind: str) -> tuple[Path, ...]:
        return tuple(self.blobs.existing(layer.digest) for layer in manifest.of_kind(kind))

    def _text(self, digest: Digest) -> str:
        return self.blobs.existing(digest).read_text("utf-8", "replace")

    def _json(self, digest: Digest) -> Any:
        try:
            return json.loads(self._text(digest))
        except ValueError as error:
            raise StoreBroken(f"blob {digest.colon} is no JSON: {error}") from error

    # --- changing ---------------------------------------------------------------------------------

    def _changing(self) -> FileLock:
        self.root.mkdir(parents=True, exist_ok=True)
        return self._lock

    def write(self, name: ModelName, manifest: Manifest) -> None:
        """Make a model visible; what only its predecessor used is removed."""
        with self._changing():
            try:
                before = self.manifest(name)
            except StoreBroken:
                before = None
            self.put(name, manifest.encode())
            if before is not None:
                self._remove_unused(before.digests)

    def put(self, name: ModelName, data: bytes) -> None:
        """Write a manifest file by renaming (the lock is held)."""
        path = self._path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.root / f".manifest-{secrets.token_hex(8)}"
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    def copy(self, source: ModelName, destination: ModelName, asked: str) -> None:
        """Give a model a second name; an existing destination is replaced.

        Raises
        ------
        ModelNotFound
            If there is no source.
        """
        self._require(source, asked)
        manifest = Manifest.decode(self._read(source)[0])
        if source != destination:
            self.write(destination, manifest)

    def delete(self, name: ModelName, asked: str) -> None:
        """Remove a model, and every blob that only it used.

        Raises
        ------
        ModelNotFound
            If it is not there.
        """
        self._require(name, asked)
        with self._changing():
            try:
                used = Manifest.decode(self._read(name)[0]).digests
            except StoreBroken:
                used = set()
            path = self._path(name)
            path.unlink()
            for folder in list(path.parents)[:3]:
                if any(folder.iterdir()):
                    break
                folder.rmdir()
            self._remove_unused(used)

    def _require(self, name: ModelName, asked: str) -> None:
        if not self._path(name).is_file():
            raise ModelNotFound(asked, name.display)

    def _remove_unused(self, digests: set[Digest]) -> None:
        """Remove what of these no manifest uses; an unreadable manifest keeps them all."""
        used: set[Digest] = set()
        for manifest in self._all_manifests():
            if manifest is None:
                return
            used |= manifest.digests
        for digest in digests - used:
            self.blobs.remove(digest)

    def _all_manifests(self) -> Iterator[Manifest | None]:
        for path in self._manifests.glob("*/*/*/*"):
            try:
                yield Manifest.decode(path.read_bytes())
            except (StoreBroken, OSError) as error:
                log.warning("nothing is removed: %s: %s", path, error)
                yield None


def lock_path(root: Path) -> Path:
    """A lock per store, in the user's runtime folder."""
    folder = Path(jupyter_runtime_dir()) / "ollama-nb"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    name = hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:16]
    return folder / f"store-{name}.lock"
