"""The parts of a model as values: its texts, its JSON blobs, its GGUF headers.

A blob never changes, so what was read of one is kept; but that it is still there is seen each time.
"""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import fields
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

from ollama_nb_server.library import gojson
from ollama_nb_server.library.blobs import Blobs
from ollama_nb_server.library.digests import Digest
from ollama_nb_server.library.errors import NotGGUF, StoreBroken
from ollama_nb_server.library.gguf import GGUFMetadata
from ollama_nb_server.library.headers import Headers
from ollama_nb_server.library.manifest import Config, Layer, Manifest

MAX_TEXT_BYTES = 16 << 20  # of one blob: more is no text, whatever its media type says
MAX_KEPT_BYTES = 32 << 20  # of all that are kept
SURROGATE = re.compile("[\ud800-\udfff]")
MAX_DIGITS = 300  # of a number: Go knows none that are larger

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
            raise StoreBroken(
                f"blob {digest.colon} cannot be read, pull or create the model again: {error}"
            ) from error

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
                raise StoreBroken(f"the model begins with a message that is none: {message!r:.100}")
        return tuple(found)

    def config(self, manifest: Manifest) -> Config:
        """A model's config.

        Raises
        ------
        BlobNotFound, StoreBroken
        """
        config = Config.decode(self._bytes(manifest.config.digest))
        for name, fits in FITTING:
            if not fits(getattr(config, name)):
                raise StoreBroken(f"the config says {name}: {getattr(config, name)!r:.100}")
        return config

    def paths(self, manifest: Manifest, kind: str) -> tuple[Path, ...]:
        """Where the layers of a kind lie."""
        return tuple(self.blobs.existing(layer.digest) for layer in manifest.of_kind(kind))

    def _json(self, digest: Digest, kind: type[Json]) -> Json:
        try:
            value = _parsed(self.text(digest))
        except (ValueError, RecursionError) as error:
            raise StoreBroken(f"blob {digest.colon} is no JSON: {error}") from error
        if not isinstance(value, kind):
            raise StoreBroken(f"blob {digest.colon} is JSON, but no {kind.__name__}")
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


def _parsed(text: str) -> Any:
    """JSON as Go reads it: half a surrogate pair becomes U+FFFD, NaN is none.

    Raises
    ------
    ValueError, RecursionError
        If it is none, or a number is too large for a float64.
    """
    value = json.loads(text, parse_int=_integer, parse_constant=_integer)
    return json.loads(gojson.encode(value)) if "\\ud" in text.casefold() else value


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"the number {digits:.20}... is too large")
    return int(digits)


def _is_message(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(value.get(key, ""), str) for key in ("role", "content")
    )


def _is_text(value: Any) -> bool:
    """A text without half a surrogate pair, which JSON can hold and UTF-8 cannot."""
    return isinstance(value, str) and (value.isascii() or SURROGATE.search(value) is None)


def _are_texts(value: Any) -> bool:
    return isinstance(value, tuple) and all(map(_is_text, value))


# type of a config's field -> whether a value is of it
FITS: dict[str, Callable[[Any], bool]] = {
    "str": _is_text,
    "int": lambda value: type(value) is int and 0 <= value < 1 << 63,
    "tuple[str, ...]": _are_texts,
    "tuple[str, ...] | None": lambda value: value is None or _are_texts(value),
    "dict[str, Any] | None": lambda value: value is None or isinstance(value, dict),
}
FITTING = [(field.name, FITS[str(field.type)]) for field in fields(Config)]
