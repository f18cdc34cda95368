"""When rows of a cache were last used, so that those used longest ago go when its file is full.

A table of its own: noting a use rewrites a few bytes, not the row.
"""

from __future__ import annotations

import functools
import math
import os
import time
from typing import TYPE_CHECKING

from ollama_nb.errors import CacheWarning
from ollama_nb.warning import warn

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

SCHEMA = """
CREATE TABLE IF NOT EXISTS uses (
    key     TEXT PRIMARY KEY,  -- of a row
    used_at REAL NOT NULL      -- Unix time
) WITHOUT ROWID;
"""
DEFAULT_MB = 1000.0
LEFT = 0.9  # of the limit, so that a full file is not tidied up at every row
STEP = 20  # a part of the rows that is removed at a time


def limit_bytes() -> float:
    """Return how large a file of the cache may be: OLLAMA_NB_CACHE_MB, of a million bytes each.

    With 0 nothing is kept.
    """
    return _megabytes(os.environ.get("OLLAMA_NB_CACHE_MB", "").strip()) * 1e6


def note(connection: sqlite3.Connection, keys: Iterable[str]) -> None:
    """Write down that these rows are used now."""
    now = time.time()
    rows = [(key, now) for key in keys]
    connection.executemany("INSERT OR REPLACE INTO uses VALUES (?, ?)", rows)


def make_room(connection: sqlite3.Connection, table: str) -> None:
    """Remove the rows used longest ago from a file that is larger than it may be, and commit."""
    limit = limit_bytes()
    if _pages(connection) * _page_bytes(connection) <= limit:
        return
    while _used_bytes(connection) > LEFT * limit and (rows := _num_rows(connection)):
        _remove_oldest(connection, table, -(-rows // STEP))
    # Gives the pages back to the disk. Not by execute(), which takes the first of its steps only.
    connection.executescript("PRAGMA incremental_vacuum")


@functools.cache  # a bad value is told once
def _megabytes(text: str) -> float:
    try:
        megabytes = float(text or DEFAULT_MB)
    except ValueError:
        megabytes = math.nan
    if not 0 <= megabytes < math.inf:
        warn(
            f"OLLAMA_NB_CACHE_MB is {text!r}, not a number of megabytes: {DEFAULT_MB:,.0f} it is",
            CacheWarning,
        )
        return DEFAULT_MB
    return megabytes


def _remove_oldest(connection: sqlite3.Connection, table: str, number: int) -> None:
    oldest = connection.execute(
        "SELECT key FROM uses ORDER BY used_at, key LIMIT ?", (number,)
    ).fetchall()
    for name in (table, "uses"):
        connection.executemany(f"DELETE FROM {name} WHERE key = ?", oldest)


def _used_bytes(connection: sqlite3.Connection) -> int:
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    return (_pages(connection) - int(free)) * _page_bytes(connection)


def _pages(connection: sqlite3.Connection) -> int:
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    return int(pages)


def _page_bytes(connection: sqlite3.Connection) -> int:
    (size,) = connection.execute("PRAGMA page_size").fetchone()
    return int(size)


def _num_rows(connection: sqlite3.Connection) -> int:
    (rows,) = connection.execute("SELECT count(*) FROM uses").fetchone()
    return int(rows)
