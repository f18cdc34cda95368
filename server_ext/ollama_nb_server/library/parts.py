"""The parts of a model as values: its texts, its JSON blobs, its GGUF headers.

A blob never changes, so what was read of one is kept; but that it is still there is seen each time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

from ollama_nb_server.library import documents
from ollama_nb_server.library.blobs import Blobs
from ollama_nb_server.library.digests import Digest
from ollama_nb_server.library.documents import LIST, OBJECT
from ollama_nb_server.library.errors import NotGGUF, StoreBroken
from ollama_nb_server.library.gguf import GGUFMetadata
from ollama_nb_server.library.headers import Headers
from ollama_nb_server.library.manifest import Config, Layer, Manifest

MAX_TEXT_BYTES = 16 << 20  # of one blob: more is no text, whatever its media type says
MAX_KEPT_BYTES = 32 << 20  # of all that are kept

Json = TypeVar("Json", dict[str, Any], list[Any])


class Parts:
    """Reads the blobs of one store. Threads may share it.

    `go_template` is the administrator's choice between two templates (None: the stronger one).
    """

    def __init__(self, blobs: Blobs, headers: Headers, go_template: bool | None = None) -> None:
        self.blobs, self.headers, self.go_template = blobs, headers, go_template
        self._known: OrderedDict[Digest, bytes] = OrderedDict()
        self._kept = 0
        self._lock = Lock()

    def metadata(self, digest: Digest) -> GGUFMetadata:
        """The header of a GGUF blob.

        Raises
        ------
        BlobNotFound, StoreBroken
        """
        path = self.blobs.existing(digest)
        try:
            return self.headers.of(digest, path)
        except NotGGUF as error:
            raise _unusable(digest, error) from error

    def text(self, digest: Digest) -> str:
        """A text, as it is stored.

        Raises
        ------
        BlobNotFound, StoreBroken
        """
        return self._bytes(digest).decode("utf-8", "replace")

    def texts(self, manifest: Manifest, *kinds: str) -> tuple[str, ...]:
        """The texts of all layers of these kinds."""
        return tuple(self.text(layer.digest) for layer in manifest.of_kind(*kinds))

    def parameters(self, layers: Iterable[Layer]) -> dict[str, Any]:
        """The options that a model brings along in its layers."""
        merged: dict[str, Any] = {}
        for layer in layers:
            if layer.kind == "params":
                merged |= self._json(layer.digest, dict)
        return merged

    def messages(self, manifest: Manifest) -> tuple[dict[str, Any], ...]:
        """The conversation that a model begins with.

        Raises
        ------
        StoreBroken
            If one is no object, or its content is no text.
        """
        found = [m for d in manifest.of_kind("messages") for m in self._json(d.digest, list)]
        for message in found:
            if not _is_message(message):
                raise StoreBroken(
                    "a message that the model begins with has no text as its role or content: "
                    "pull or create the model again"
                )
        return tuple(found)

    def config(self, manifest: Manifest) -> Config:
        """A model's config.

        Raises
        ------
        BlobNotFound, StoreBroken
        """
        digest = manifest.config.digest
        try:
            return Config.decode(self._bytes(digest))
        except StoreBroken as error:
            raise _unusable(digest, error) from error

    def paths(self, manifest: Manifest, kind: str) -> tuple[Path, ...]:
        """Where the layers of a kind lie."""
        return tuple(self.blobs.existing(layer.digest) for layer in manifest.of_kind(kind))

    def _json(self, digest: Digest, kind: type[Json]) -> Json:
        try:
            value = documents.parsed(self._bytes(digest))
            documents.required(value, OBJECT if kind is dict else LIST, "it")
        except ValueError as error:
            raise _unusable(digest, error) from error
        assert isinstance(value, kind)
        return value

    def _bytes(self, digest: Digest) -> bytes:
        path = self.blobs.existing(digest)
        with self._lock:
            if digest in self._known:
                self._known.move_to_end(digest)
                return self._known[digest]
        with path.open("rb") as file:
            data = file.read(MAX_TEXT_BYTES + 1)
        if len(data) > MAX_TEXT_BYTES:
            raise StoreBroken(f"blob {digest.colon} is too large for a text")
        self._keep(digest, data)
        return data

    def _keep(self, digest: Digest, data: bytes) -> None:
        with self._lock:
            if digest not in self._known:
                self._known[digest] = data
                self._kept += len(data)
            while self._kept > MAX_KEPT_BYTES:
                _, dropped = self._known.popitem(last=False)
                self._kept -= len(dropped)


def _unusable(digest: Digest, error: Exception) -> StoreBroken:
    return StoreBroken(
        f"blob {digest.colon} cannot be read, pull or create the model again: {error}"
    )


def _is_message(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(value.get(key, ""), str) for key in ("role", "content")
    )
