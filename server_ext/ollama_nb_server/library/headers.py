"""The headers of a store's GGUF blobs: from memory, else from the cache, else from the file."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from ollama_nb_server.library import gguf
from ollama_nb_server.library.digests import Digest
from ollama_nb_server.library.errors import NotGGUF
from ollama_nb_server.library.gguf import GGUFMetadata
from ollama_nb_server.library.metadata_cache import Blob, MetadataCache

MAX_LETTERS = 64 << 20  # of all headers in memory
ENTRY_LETTERS = 64
MAX_BROKEN = 256


@dataclass(frozen=True, slots=True)
class _Seen:
    """A file as it is now. One that is no GGUF is read again only once it was written anew."""

    blob: Blob
    mtime_ns: int


class Headers:
    """Headers by digest; a blob of another size is another file. Threads may share it."""

    def __init__(self, cache: MetadataCache | None = None) -> None:
        self._cache = cache
        self._known: OrderedDict[Blob, tuple[GGUFMetadata, int]] = OrderedDict()
        self._letters = 0
        self._broken: OrderedDict[_Seen, str] = OrderedDict()
        self._lock = Lock()

    def of(self, digest: Digest, path: Path) -> GGUFMetadata:
        """One header.

        Raises
        ------
        NotGGUF
            If the file is none.
        OSError
            If it cannot be read, or is not there.
        """
        seen = _seen(digest, path)
        if self._remembered(seen.blob) is None:
            self.prefetch([(digest, path)])
        if (reason := self._broken.get(seen)) is not None:
            raise NotGGUF(reason)
        known = self._remembered(seen.blob)
        return known if known is not None else gguf.read(path)

    def prefetch(self, files: Iterable[tuple[Digest, Path]]) -> None:
        """Read many at once; what cannot be read is left for `of` to tell."""
        missing = list(self._missing(files))
        if not missing:
            return
        blobs = [seen.blob for seen in missing]
        found = self._cache.load(blobs) if self._cache is not None else {}
        fresh: dict[Blob, GGUFMetadata] = {}
        for seen in missing:
            metadata = found.get(seen.blob.digest)
            if metadata is None and (metadata := self._readable(seen)) is not None:
                fresh[seen.blob] = metadata
            if metadata is not None:
                self._remember(seen.blob, metadata)
        if fresh and self._cache is not None:
            self._cache.store(fresh)

    def _missing(self, files: Iterable[tuple[Digest, Path]]) -> Iterator[_Seen]:
        """The files that are there, and of which nothing is known yet."""
        for digest, path in files:
            try:
                seen = _seen(digest, path)
            except OSError:
                continue
            if seen not in self._broken and self._remembered(seen.blob) is None:
                yield seen

    def _readable(self, seen: _Seen) -> GGUFMetadata | None:
        try:
            return gguf.read(seen.blob.path)
        except OSError:
            return None
        except NotGGUF as error:
            with self._lock:
                self._broken[seen] = error.reason
                while len(self._broken) > MAX_BROKEN:
                    self._broken.popitem(last=False)
            return None

    def _remembered(self, blob: Blob) -> GGUFMetadata | None:
        with self._lock:
            if blob not in self._known:
                return None
            self._known.move_to_end(blob)
            return self._known[blob][0]

    def _remember(self, blob: Blob, metadata: GGUFMetadata) -> None:
        letters = _letters(list(metadata.values.values()))
        with self._lock:
            _, before = self._known.pop(blob, (None, 0))
            self._known[blob] = metadata, letters
            self._letters += letters - before
            while self._letters > MAX_LETTERS:
                _, (_, dropped) = self._known.popitem(last=False)
                self._letters -= dropped


def _letters(value: Any) -> int:
    """About how much memory a value takes; anything but a text counts as a few letters."""
    if isinstance(value, list):
        return sum(map(_letters, value))
    return ENTRY_LETTERS + (len(value) if isinstance(value, str) else 0)


def _seen(digest: Digest, path: Path) -> _Seen:
    stat = path.stat()
    return _Seen(Blob(digest, path, stat.st_size), stat.st_mtime_ns)
