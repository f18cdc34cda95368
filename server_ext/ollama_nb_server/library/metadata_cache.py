"""GGUF headers that were read before, by digest: a sqlite file in the user's cache folder.

It only saves time. Where it is locked or cannot be written, headers are read from the blobs; a
broken file is thrown away. Each call opens the file anew, so nothing is held between requests.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ollama_nb_server.library.digests import Digest
from ollama_nb_server.library.gguf import GGUFMetadata, LongArray, StoredTensors

log = logging.getLogger(__name__)

READER = 1  # to be raised when what the reader keeps, or where it finds it, changes
FILE = "headers.sqlite"
MAX_BYTES = 64 << 20  # of all documents; the oldest go first
MAX_DOCUMENT_BYTES = 4 << 20
BUSY_S = 0.5  # how long another process is waited for
AT_ONCE = 500  # keys in a query

SCHEMA = """
CREATE TABLE IF NOT EXISTS header (
    number INTEGER PRIMARY KEY,  -- grows: the lowest is the oldest
    digest TEXT NOT NULL,        -- of the blob, 64 hexadecimal digits
    size INTEGER NOT NULL,       -- of the blob, in bytes
    reader INTEGER NOT NULL,
    document TEXT NOT NULL,      -- JSON: [place, length, num_elements] of the tensors, {key: value}
    UNIQUE (digest, size, reader)
)
"""


@dataclass(frozen=True, slots=True)
class Blob:
    """A GGUF file in the store, as the cache knows it."""

    digest: Digest
    path: Path
    size: int


class MetadataCache:
    """Headers on the disk. Several processes may use one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._file = folder, folder / FILE
        self._told = False

    def load(self, blobs: Iterable[Blob]) -> dict[Digest, GGUFMetadata]:
        """Those of the headers that are known."""
        wanted = {blob.digest: blob for blob in blobs}
        found: dict[Digest, GGUFMetadata] = {}
        if not self._file.exists():
            return found
        with self._spared(), closing(self._connected()) as connection:
            for digest, size, document in _rows(connection, list(wanted)):
                blob = wanted[Digest(digest)]
                metadata = decode(document, blob.path) if size == blob.size else None
                if metadata is not None:
                    found[blob.digest] = metadata
        return found

    def store(self, headers: Mapping[Blob, GGUFMetadata]) -> None:
        """Keep headers for the next time; the oldest go where there are too many."""
        rows = [(blob.digest.hex, blob.size, READER, encode(h)) for blob, h in headers.items()]
        rows = [row for row in rows if len(row[-1]) <= MAX_DOCUMENT_BYTES]
        if not rows:
            return
        with self._spared():
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with closing(self._connected()) as connection, connection:
                connection.execute(SCHEMA)
                connection.executemany(
                    "INSERT OR REPLACE INTO header (digest, size, reader, document) "
                    "VALUES (?, ?, ?, ?)",
                    rows,
                )
                _drop_oldest(connection)

    def _connected(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._file, timeout=BUSY_S)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = OFF")  # a lost cache is no loss
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    @contextmanager
    def _spared(self) -> Iterator[None]:
        """Go on without the cache where it does not work; throw it away where it is broken."""
        try:
            yield
        except (sqlite3.OperationalError, OSError) as error:
            self._tell("is not used now", error)
        except sqlite3.DatabaseError as error:
            self._tell("is broken and begun anew", error)
            for ending in ("-wal", "-shm", ""):
                self._file.with_name(FILE + ending).unlink(missing_ok=True)

    def _tell(self, what: str, error: Exception) -> None:
        level = logging.DEBUG if self._told else logging.WARNING
        log.log(level, "the cache of model headers %s %s: %s", self._file, what, error)
        self._told = True


def _rows(connection: sqlite3.Connection, digests: list[Digest]) -> Iterator[tuple[str, int, str]]:
    for i in range(0, len(digests), AT_ONCE):
        part = [digest.hex for digest in digests[i : i + AT_ONCE]]
        marks = ", ".join("?" * len(part))
        query = (
            f"SELECT digest, size, document FROM header WHERE digest IN ({marks}) AND reader = ?"
        )
        yield from connection.execute(query, (*part, READER))


def _drop_oldest(connection: sqlite3.Connection) -> None:
    """Keep the newest rows that fit into the limit."""
    connection.execute("DELETE FROM header WHERE reader < ?", (READER,))
    connection.execute(
        "DELETE FROM header WHERE number <= (SELECT max(number) FROM (SELECT number, "
        "sum(length(document)) OVER (ORDER BY number DESC) AS so_far FROM header) "
        "WHERE so_far > ?)",
        (MAX_BYTES,),
    )


# --- one header -----------------------------------------------------------------------------------


def encode(metadata: GGUFMetadata) -> str:
    """A header as JSON; empty for one whose tensors do not lie in its own file."""
    tensors = metadata.tensors
    if not isinstance(tensors, StoredTensors):
        return ""
    place = [tensors.place, tensors.length, tensors.num_elements]
    return json.dumps([place, metadata.values], default=_long)


def _long(array: Any) -> dict[str, list[int]]:
    return {"long": [array.offset, array.kind, array.length]}


def decode(document: str, path: Path) -> GGUFMetadata | None:
    """A header from JSON; None if it is none."""
    try:
        (place, length, num_elements), values = json.loads(document, object_hook=_object)
    except (ValueError, TypeError, RecursionError):
        return None
    if not isinstance(values, dict):
        return None
    return GGUFMetadata(path, values, StoredTensors(path, place, length, num_elements))


def _object(pairs: dict[str, Any]) -> Any:
    return LongArray(*pairs["long"]) if pairs.keys() == {"long"} else pairs
