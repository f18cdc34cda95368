"""How the rows lie in sqlite, and the statements that write them. Times in seconds of the epoch."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ollama_nb_server.accounts.refusals import RefusalRow
from ollama_nb_server.scheduling.usage import OUTCOMES, Asked, Told, Usage

FILE = "accounts.sqlite"
VERSION = 1
APPLICATION_ID = 0x6F6C6E61  # "olna"
BUSY_S = 30.0  # how long a write waits for another server's
MAX_JOURNAL_BYTES = 16_000_000
RUNNING, FAILED = "running", "failed"
PRUNED_AT_ONCE = 5000
SCHEMA = """
CREATE TABLE IF NOT EXISTS servers (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    pid INTEGER NOT NULL,
    started_at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS requests (
    server INTEGER NOT NULL,
    number INTEGER NOT NULL,
    user TEXT NOT NULL,
    verb TEXT NOT NULL,
    model TEXT NOT NULL,
    digest TEXT NOT NULL,
    asked_at REAL NOT NULL,
    status TEXT NOT NULL DEFAULT 'running',
    ended_at REAL,
    prompt_count INTEGER NOT NULL DEFAULT 0,
    cached_count INTEGER NOT NULL DEFAULT 0,
    eval_count INTEGER NOT NULL DEFAULT 0,
    queue_ns INTEGER NOT NULL DEFAULT 0,
    load_ns INTEGER NOT NULL DEFAULT 0,
    prompt_ns INTEGER NOT NULL DEFAULT 0,
    eval_ns INTEGER NOT NULL DEFAULT 0,
    first_token_ns INTEGER,
    code INTEGER,
    times INTEGER NOT NULL DEFAULT 1,
    PRIMARY KEY (server, number)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS requests_by_user ON requests (user, asked_at);
CREATE INDEX IF NOT EXISTS requests_by_time ON requests (asked_at);
CREATE INDEX IF NOT EXISTS requests_by_end ON requests (ended_at);
CREATE INDEX IF NOT EXISTS requests_running ON requests (server) WHERE status = 'running';
"""
# Columns that files have not of servers before them, which do without.
LATER = {"code": "INTEGER", "times": "INTEGER NOT NULL DEFAULT 1"}
BEGUN = (
    "INSERT OR IGNORE INTO requests (server, number, user, verb, model, digest, asked_at) "
    "VALUES (?, ?, ?, ?, ?, ?, ?)"
)
ENDED = (
    "UPDATE requests SET status = ?, ended_at = ?, prompt_count = ?, cached_count = ?, "
    "eval_count = ?, queue_ns = ?, load_ns = ?, prompt_ns = ?, eval_ns = ?, first_token_ns = ? "
    "WHERE server = ? AND number = ?"
)
TOLD = "UPDATE requests SET code = ? WHERE server = ? AND number = ?"
REFUSED = (
    "INSERT INTO requests (server, number, user, verb, model, digest, asked_at, status, code, "
    "ended_at, times) VALUES (?, ?, ?, ?, ?, '', ?, 'refused', ?, ?, ?) "
    "ON CONFLICT (server, number) DO UPDATE SET ended_at = excluded.ended_at, "
    "times = excluded.times"
)
FAIL = "UPDATE requests SET status = 'failed' WHERE server = ? AND status = 'running'"
WITH_RUNNING = (
    "SELECT id, key FROM servers WHERE id != ? AND EXISTS "
    "(SELECT 1 FROM requests WHERE server = servers.id AND status = 'running')"
)
PRUNE = (
    "DELETE FROM requests WHERE (server, number) IN "
    f"(SELECT server, number FROM requests WHERE asked_at < ? LIMIT {PRUNED_AT_ONCE})"
)
SPENT = (
    "SELECT server, number, user, ended_at, prompt_count + eval_count, prompt_ns + eval_ns "
    "FROM requests WHERE ended_at > ? AND server != ? ORDER BY ended_at"
)
SPENT_BY_ALL = (
    "SELECT server, number, user, ended_at, prompt_count + eval_count, prompt_ns + eval_ns "
    "FROM requests WHERE ended_at > ? AND (server != ? OR ended_at <= ?) ORDER BY ended_at"
)


Written = Asked | Usage | Told | RefusalRow


class ForeignFile(sqlite3.DatabaseError):
    """The file is no accounts, or those of a later version."""


def opened(path: Path) -> sqlite3.Connection:
    """The file, made for its owner alone if it is not there.

    Raises
    ------
    sqlite3.Error, OSError
        If it cannot be used.
    """
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # what sqlite adds has the same mode
    connection = sqlite3.connect(
        path, timeout=BUSY_S, isolation_level=None, check_same_thread=False
    )
    try:
        _claim(connection, path)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute(f"PRAGMA journal_size_limit={MAX_JOURNAL_BYTES}")
        connection.executescript(SCHEMA)
        _complete(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _claim(connection: sqlite3.Connection, path: Path) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if (application, version) == (APPLICATION_ID, VERSION):
        return
    if application or version:
        raise ForeignFile(f"{path} is not of this version of ollama_nb: move it away")
    connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version={VERSION}")


def _complete(connection: sqlite3.Connection) -> None:
    """Add the columns that the file of an earlier server has not."""
    with transaction(connection):
        there = {row[1] for row in connection.execute("PRAGMA table_info(requests)")}
        for name, kind in LATER.items():
            if name not in there:
                connection.execute(f"ALTER TABLE requests ADD COLUMN {name} {kind}")


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Commit at the end, or take all of it back."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def write(connection: sqlite3.Connection, server: int, records: Iterable[Written]) -> None:
    """Write records in one transaction."""
    with transaction(connection):
        for record in records:
            if isinstance(record, Told):
                connection.execute(TOLD, (record.code, server, record.number))
                continue
            if isinstance(record, RefusalRow):
                connection.execute(REFUSED, (server, *_refused(record)))
                continue
            asked = record if isinstance(record, Asked) else record.asked
            connection.execute(BEGUN, _begun(server, asked))
            if isinstance(record, Usage):
                connection.execute(ENDED, (*_ended(record), server, asked.number))


def _begun(server: int, asked: Asked) -> tuple[object, ...]:
    facts = asked.user, asked.verb, asked.model, asked.digest, asked.asked_at
    return (server, asked.number, *facts)


def _refused(row: RefusalRow) -> tuple[object, ...]:
    facts = row.number, row.user, row.verb, row.model, row.asked_at
    return (*facts, row.code, row.ended_at, row.times)


def _ended(usage: Usage) -> tuple[object, ...]:
    ending, first_s = usage.ending, usage.first_token_s
    counts = ending.prompt_count, ending.cached_count, ending.eval_count
    times = usage.queue_ns, usage.load_ns, usage.prompt_ns, usage.eval_ns
    first_ns = None if first_s is None else round(first_s * 1e9)
    return (OUTCOMES[ending.how], usage.ended_at, *counts, *times, first_ns)


def prune(connection: sqlite3.Connection, before: float) -> None:
    """Forget what was asked before a time, a part at a time: others write between them."""
    while connection.execute(PRUNE, (before,)).rowcount == PRUNED_AT_ONCE:
        pass
