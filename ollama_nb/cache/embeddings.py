"""Vectors of texts that were embedded, kept so that a new row costs one row.

A vector is found by the model's weights, the text, and what else was asked of it. A name is not
enough: it may mean another model tomorrow.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ollama_nb.cache import uses
from ollama_nb.cache.database import MAX_VARIABLES, Database

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping, Sequence

VERSION = 2
SCHEMA = """
CREATE TABLE IF NOT EXISTS vectors (
    key     TEXT PRIMARY KEY,  -- SHA-256 of the model's digest, the text and the options
    model   TEXT NOT NULL,     -- the name that was used, for people who look into the file
    vector  BLOB NOT NULL,     -- float32, little-endian
    made_at REAL NOT NULL      -- Unix time
) WITHOUT ROWID;
"""


class VectorCache:
    """The vectors that this user's kernels have kept, as bytes."""

    def __init__(self) -> None:
        self._database = Database("vectors", SCHEMA + uses.SCHEMA, VERSION)

    def keep(self, model: str, vectors: Mapping[str, bytes]) -> None:
        """Write down vectors under their keys, in one transaction.

        In a file that is full, those used longest ago make room.
        """
        if not uses.limit_bytes():
            return
        now = time.time()
        rows = [(key, model, vector, now) for key, vector in vectors.items()]
        statement = "INSERT OR REPLACE INTO vectors VALUES (?, ?, ?, ?)"

        def write(connection: sqlite3.Connection) -> None:
            connection.executemany(statement, rows)
            uses.note(connection, vectors)
            uses.make_room(connection, "vectors")

        self._database.run(write, None)

    def found(self, keys: Iterable[str]) -> dict[str, bytes]:
        """Return the vectors that are kept under these keys."""
        wanted = list(dict.fromkeys(keys))
        steps = range(0, len(wanted), MAX_VARIABLES)
        parts = [wanted[begin : begin + MAX_VARIABLES] for begin in steps]
        nothing: dict[str, bytes] = {}
        found = self._database.run(lambda connection: _select(connection, parts), nothing)
        if found:  # by itself: what cannot be noted, on a full disk, is found all the same
            self._database.run(lambda connection: uses.note(connection, found), None)
        return found

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        self._database.close()


def _select(connection: sqlite3.Connection, parts: Sequence[Sequence[str]]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for keys in parts:
        marks = ", ".join("?" * len(keys))
        statement = f"SELECT key, vector FROM vectors WHERE key IN ({marks})"
        found.update(connection.execute(statement, keys))
    return found
