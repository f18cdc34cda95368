"""The list of models, kept in memory and compared with the manifests each time it is asked for.

So a model that another process pulled or removed is seen at once, and nothing is read twice.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from ollama_nb_server.library.assembling import entry, headers_of
from ollama_nb_server.library.errors import InvalidName, StoreBroken
from ollama_nb_server.library.manifests import Manifests, Written
from ollama_nb_server.library.model import Entry
from ollama_nb_server.library.parts import Parts

log = logging.getLogger(__name__)

MAX_SIZE = (1 << 63) - 1  # as JSON's readers have it
DEPTH = 4  # folders of host, namespace and model, then the tag's file


@dataclass(frozen=True, slots=True)
class Stamp:
    """By which a manifest file is known to be the same as before."""

    mtime_ns: int
    size: int
    inode: int


@dataclass(frozen=True, slots=True)
class Row:
    """What a manifest file stands for; no entry: it is none. What is wrong is looked at anew."""

    stamp: Stamp
    entry: Entry | None
    wrong: tuple[str, ...] = ()


class Listing:
    """All entries of a store. Threads may share it."""

    def __init__(self, manifests: Manifests, parts: Parts) -> None:
        self._manifests, self._parts = manifests, parts
        self._rows: dict[str, Row] = {}
        self._lock = Lock()

    def entries(self) -> list[Entry]:
        """Every model, the newest first by whole seconds, then by name."""
        with self._lock:
            self._compare()
            entries = [row.entry for row in self._rows.values() if row.entry is not None]
        return sorted(entries, key=lambda e: (-int(e.modified_at), e.name.full))

    def _compare(self) -> None:
        stamps = dict(_scan(str(self._manifests.folder), DEPTH))
        known = {
            path: row
            for path, stamp in stamps.items()
            if (row := self._rows.get(path)) is not None and row.stamp == stamp and not row.wrong
        }
        unknown = [path for path in stamps if path not in known]
        read = {path: self._written(Path(path)) for path in unknown}
        self._prefetch(written for written in read.values() if isinstance(written, Written))
        for path, written in read.items():
            known[path] = self._row(path, stamps[path], written)
        self._rows = known

    def _written(self, path: Path) -> Written | str | None:
        """A manifest; or why a file is none; or None for one that is gone by now."""
        try:
            written = self._manifests.written(self._manifests.name_of(path))
        except FileNotFoundError:
            return None
        except (InvalidName, StoreBroken, OSError) as error:
            return str(error)
        size = written.manifest.size
        return written if 0 <= size <= MAX_SIZE else f"a size of {size} bytes cannot be"

    def _prefetch(self, manifests: Iterator[Written]) -> None:
        digests = {digest for written in manifests for digest in headers_of(written.manifest)}
        self._parts.headers.prefetch((d, self._parts.blobs.path(d)) for d in digests)

    def _row(self, path: str, stamp: Stamp, written: Written | str | None) -> Row:
        before = self._rows.get(path)
        if not isinstance(written, Written):
            row, wrong = Row(stamp, None), [written] if written else []
        else:
            made, wrong = entry(self._parts, written)
            row = Row(stamp, made, tuple(wrong))
        if wrong and (before is None or before.stamp != stamp):
            log.warning("%s: %s", path, "; ".join(wrong))
        return row


def _scan(folder: str, depth: int) -> Iterator[tuple[str, Stamp]]:
    """The files so deep below a folder. pathlib's glob takes ten times as long."""
    try:
        found = list(os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return
    for item in found:
        if depth > 1:
            if item.is_dir():
                yield from _scan(item.path, depth - 1)
        elif (stamp := _stamp(item)) is not None:
            yield item.path, stamp


def _stamp(item: os.DirEntry[str]) -> Stamp | None:
    """None for a file that is gone by now, and for what is no file."""
    try:
        found = item.stat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    return Stamp(found.st_mtime_ns, found.st_size, found.st_ino)
