"""The folder of manifests: HOST/NAMESPACE/MODEL/TAG. Read without a lock, written by renaming."""

from __future__ import annotations

import logging
import os
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ollama_nb_server.library.errors import InvalidName, StoreBroken
from ollama_nb_server.library.manifest import Manifest
from ollama_nb_server.library.names import ModelName

log = logging.getLogger(__name__)

RETRIES, RETRY_S = 3, 0.01  # Ollama cuts a manifest short before it writes it anew


@dataclass(frozen=True, slots=True)
class Written:
    """A manifest as it lies in the store; `modified_at` is seconds since 1970."""

    name: ModelName
    data: bytes
    manifest: Manifest
    modified_at: float


class Manifests:
    """All manifests below one folder of a store."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.folder = root / "manifests"

    def path(self, name: ModelName) -> Path:
        """Where a model's manifest lies, whether it is there or not."""
        return self.folder.joinpath(*name.parts)

    def has(self, name: ModelName) -> bool:
        """Whether there is such a model."""
        return self.path(name).is_file()

    def files(self) -> Iterator[Path]:
        """Everything that lies where manifests do, manifest or not."""
        return (path for path in self.folder.glob("*/*/*/*") if path.is_file())

    def names(self) -> list[ModelName]:
        """All names that have a manifest; files that are none are left out."""
        found = []
        for path in self.files():
            try:
                found.append(self.name_of(path))
            except InvalidName:
                log.warning("%s is no manifest of a model and is left alone", path)
        return found

    def name_of(self, path: Path) -> ModelName:
        """The model whose manifest a file is.

        Raises
        ------
        InvalidName
            If its path makes no name.
        """
        return ModelName.of_path(path.relative_to(self.folder).parts)

    def read(self, name: ModelName) -> tuple[bytes, float]:
        """The bytes of a manifest, and when they were written (seconds since 1970).

        Raises
        ------
        FileNotFoundError
            If there is none.
        """
        path = self.path(name)
        return path.read_bytes(), path.stat().st_mtime

    def of(self, name: ModelName) -> Manifest | None:
        """A model's manifest, or None if there is none.

        Raises
        ------
        StoreBroken
            If it stays unreadable.
        """
        try:
            return self._decoded(self.path(name))
        except FileNotFoundError:
            return None

    def all(self) -> list[Manifest] | None:
        """Every manifest; None if a file is none, so that nobody knows which blobs it needs."""
        try:
            return [self._decoded(path) for path in self.files() if self.name_of(path)]
        except (StoreBroken, InvalidName, OSError) as error:
            log.warning(
                "nothing is removed from %s, since not all is readable: %s", self._root, error
            )
            return None

    def written(self, name: ModelName) -> Written:
        """A model's manifest with what is known of its file.

        Raises
        ------
        FileNotFoundError
            If there is none.
        StoreBroken
            If it stays unreadable.
        """
        path = self.path(name)
        data, manifest = self._settled(path)
        return Written(name, data, manifest, path.stat().st_mtime)

    def _decoded(self, path: Path) -> Manifest:
        return self._settled(path)[1]

    def _settled(self, path: Path) -> tuple[bytes, Manifest]:
        """A manifest that somebody may be writing just now."""
        for _ in range(RETRIES):
            try:
                data = path.read_bytes()
                return data, Manifest.decode(data)
            except StoreBroken:
                time.sleep(RETRY_S)
        data = path.read_bytes()
        try:
            return data, Manifest.decode(data)
        except StoreBroken as error:
            raise StoreBroken(
                f"{path} is no manifest of a model, pull or create the model again: {error}"
            ) from error

    def put(self, name: ModelName, data: bytes) -> None:
        """Write a manifest file, whole or not at all.

        Raises
        ------
        StoreBroken
            If a link among the folders leads out of the store.
        """
        path = self.path(name)
        if not path.parent.resolve().is_relative_to(self.folder.resolve()):
            raise StoreBroken(f"{path.parent} leads out of the model store")
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._root / f".manifest-{secrets.token_hex(8)}"
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    def remove(self, name: ModelName) -> None:
        """Remove a manifest, and the folders that are empty then."""
        path = self.path(name)
        path.unlink()
        for folder in list(path.parents)[:3]:
            if any(folder.iterdir()):
                break
            folder.rmdir()
