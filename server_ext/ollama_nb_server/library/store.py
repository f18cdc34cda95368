"""The store: which models there are, and changing that. Several processes may use one store.

Changes hold a lock at the store's root, where Ollama looks for nothing and prunes nothing; so it
works for all who share the folder. A manifest becomes visible by renaming: readers need no lock,
and never wait for one. Whoever changes something may meet `StoreLocked`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from filelock import FileLock

from ollama_nb_server.library import assembling, bundled, pruning
from ollama_nb_server.library.blobs import Blobs
from ollama_nb_server.library.digests import Digest
from ollama_nb_server.library.errors import BlobVanished, ModelNotFound, StoreBroken
from ollama_nb_server.library.headers import Headers
from ollama_nb_server.library.listing import Listing
from ollama_nb_server.library.locking import store_lock
from ollama_nb_server.library.manifest import Config, Layer, Manifest
from ollama_nb_server.library.manifests import Manifests, Written
from ollama_nb_server.library.metadata_cache import MetadataCache
from ollama_nb_server.library.model import Entry, Model
from ollama_nb_server.library.names import ModelName
from ollama_nb_server.library.parts import Parts

Admit = Callable[[Manifest], None]
LOCK = ".ollama-nb.lock"
LOCK_S = 10.0  # a change takes milliseconds; who holds the lock for so long hangs


class Store:
    """A folder in Ollama's layout. All methods block on the disk: call them off the event loop.

    `cache` is a folder for what was read of models (None: only memory is used).
    """

    def __init__(
        self,
        root: Path,
        *,
        removes: bool = True,
        cache: Path | None = None,
        go_template: bool | None = None,
        lock_s: float = LOCK_S,
    ) -> None:
        self.root = root
        self.blobs = Blobs(root / "blobs")
        self.manifests = Manifests(root)
        headers = Headers(MetadataCache(cache) if cache is not None else None)
        self.parts = Parts(self.blobs, headers, go_template)
        self._listing = Listing(self.manifests, self.parts)
        self._removes = removes
        self._lock, self._lock_s = FileLock(root / LOCK, mode=0o664), lock_s

    # --- reading ----------------------------------------------------------------------------------

    def names(self) -> list[ModelName]:
        """All names that have a manifest; files that are none are left out."""
        return self.manifests.names()

    def has(self, name: ModelName) -> bool:
        """Whether there is such a model, be it only the bundled one."""
        return self.manifests.has(name) or bundled.is_asked_for(name)

    def resolve(self, name: ModelName) -> ModelName:
        """The stored spelling of a name that differs only in case."""
        return name if self.manifests.has(name) else name.folded(self.names())

    def model(self, name: ModelName, asked: str | None = None) -> Model:
        """Read a model; the bundled one is installed when it is first asked for.

        Raises
        ------
        ModelNotFound
            If there is no such manifest.
        RemoteModel
            If it stands for a model in the cloud.
        BlobNotFound, StoreBroken
            If a file of the model is missing or broken.
        """
        asked = asked if asked is not None else name.display
        return assembling.whole(self.parts, self._written(name, asked), asked)

    def entry(self, name: ModelName, asked: str) -> Entry:
        """A model as the list shows it, which needs none of its parts.

        Raises
        ------
        ModelNotFound, StoreBroken
            If there is no such manifest, or it stays unreadable.
        """
        return assembling.entry(self.parts, self._written(name, asked))[0]

    def models(self) -> list[Entry]:
        """Every model, the newest first; those that are broken too."""
        return self._listing.entries()

    def called(self, weights: Digest, counts: Callable[[ModelName], bool]) -> ModelName | None:
        """A model of these weights among those that count; None if there is none (any more)."""
        for name in filter(counts, self.names()):
            with suppress(StoreBroken, OSError):
                manifest = self.manifests.of(name)
                if manifest and any(la.digest == weights for la in manifest.of_kind("model")):
                    return name
        return None

    def holder(self, blob: Digest, counts: Callable[[ModelName], bool]) -> ModelName | None:
        """A model that has this blob, among those that count; None if there is none."""
        for name in filter(counts, self.names()):
            with suppress(StoreBroken, OSError):
                manifest = self.manifests.of(name)
                if manifest and blob in manifest.digests:
                    return name
        return None

    def _written(self, name: ModelName, asked: str) -> Written:
        try:
            return self.manifests.written(name)
        except FileNotFoundError:
            if not bundled.is_asked_for(name):
                raise ModelNotFound(asked, name.display) from None
        with self._changing():
            bundled.install(self, name)
        return self.manifests.written(name)

    def parameters(self, layers: Iterable[Layer]) -> dict[str, Any]:
        """The options that a model brings along in its layers."""
        return self.parts.parameters(layers)

    def config(self, manifest: Manifest) -> Config:
        """A model's config."""
        return self.parts.config(manifest)

    # --- changing ---------------------------------------------------------------------------------

    def _changing(self) -> AbstractContextManager[None]:
        self.root.mkdir(parents=True, exist_ok=True)
        return store_lock(self._lock, self.root, self._lock_s)

    def write(
        self,
        name: ModelName,
        manifest: Manifest,
        data: bytes | None = None,
        admit: Admit | None = None,
    ) -> int:
        """Make a model visible; returns how many blobs went that only its predecessor used.

        Parameters
        ----------
        data
            The manifest's bytes, where a registry gave them.
        admit
            Raises what is against the model, if anything; then nobody's blobs of it go.

        Raises
        ------
        BlobVanished
            If one of its blobs was removed meanwhile; the store is as it was.
        """
        with self._changing():
            self._require_blobs(manifest)
            if admit is not None:
                self._admit(manifest, admit)
            before = self._used_by(name)
            self.manifests.put(name, data if data is not None else manifest.encode())
            return len(self._remove_unused(before - manifest.digests)) if self._removes else 0

    def _admit(self, manifest: Manifest, admit: Admit) -> None:
        try:
            admit(manifest)
        except BaseException:
            self._remove_unused(manifest.digests)
            raise

    def discard(self, digests: set[Digest]) -> None:
        """Remove those of these blobs that no model uses."""
        with self._changing():
            self._remove_unused(digests)

    def copy(
        self,
        source: ModelName,
        destination: ModelName,
        asked: str,
        owner: str = "",
        admit: Admit | None = None,
    ) -> None:
        """Give a model a second name; an existing destination is replaced, and is `owner`'s own.

        Raises
        ------
        ModelNotFound
            If there is no source.
        """
        with self._changing():
            self._require(source, asked)
            written = self.manifests.written(source)
            if source != destination:
                manifest = replace(written.manifest, owner=owner)
                data = written.data if manifest == written.manifest else None
                self.write(destination, manifest, data, admit)

    def delete(self, name: ModelName, asked: str) -> set[Digest]:
        """Remove a model, and every blob that only it used; returns which these were.

        Raises
        ------
        ModelNotFound
            If it is not there.
        """
        with self._changing():
            self._require(name, asked)
            used = self._used_by(name)
            self.manifests.remove(name)
            return self._remove_unused(used)

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

    def _remove_unused(self, digests: set[Digest]) -> set[Digest]:
        """Remove what of these no manifest uses; an unreadable manifest keeps them all."""
        manifests = self.manifests.all() if digests else None
        if manifests is None:
            return set()
        unused = digests - {digest for manifest in manifests for digest in manifest.digests}
        for digest in unused:
            self.blobs.remove(digest)
        return unused
