"""A sqlite file in the cache folder that several kernels write to, and that nothing depends on.

What its tables hold is said by their owners (`rows`); this module opens it, and does without it.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from typing import TYPE_CHECKING, TypeVar

from ollama_nb.cache.folder import cache_dir
from ollama_nb.errors import CacheWarning
from ollama_nb.warning import warn

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from filelock import FileLock

APPLICATION_ID = 0x6F6C6E62  # "olnb": what tells our files from other programs'
BUSY_S = 30.0  # how long a write waits for another kernel's
OPENING_S = 10.0  # how long opening waits for another kernel that looks at the same file
MAX_JOURNAL_BYTES = 16_000_000  # what a long transaction leaves beside the file
MAX_VARIABLES = 500  # of one statement; old builds of sqlite take 999

R = TypeVar("R")


class _Foreign(sqlite3.DatabaseError):
    """A database, but none of this cache."""


class Database:
    """One file of the cache, for all threads of this process and beside other processes.

    Parameters
    ----------
    name
        Of the file, without its ending.
    schema
        The statements that make the tables, each `IF NOT EXISTS`.
    version
        Of the schema. It is a part of the file's name, so that two releases of this package, each
        in its own environment, keep a file each.

    Notes
    -----
    WAL: readers do not wait for a writer, and what is committed outlives a kernel that is killed.
    A file that is broken, or another program's, is moved aside with a warning, and an empty one
    takes its place. Where nothing can be written, the tables are in memory.
    """

    def __init__(self, name: str, schema: str, version: int) -> None:
        self._name = f"{name}-{version}.sqlite"
        self._schema = schema
        self._version = version
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._opened_as: tuple[Path, int] | None = None
        self._file: tuple[int, int] | None = None  # which one it is, also under another name

    @property
    def path(self) -> Path:
        """Where the file is, or would be."""
        return cache_dir() / self._name

    def run(self, work: Callable[[sqlite3.Connection], R], otherwise: R) -> R:
        """Do something in one transaction; return its result, `otherwise` where that fails.

        A failure (a full disk, a file that broke meanwhile) is told as a warning: what needs the
        cache can do without.
        """
        with self._lock:
            for is_last in (False, True):
                try:
                    with self._open() as connection:
                        return work(connection)
                except sqlite3.DatabaseError as error:
                    if not _is_broken(error) or is_last:
                        _warn(f"the cache {self.path} was not used ({error})")
                        return otherwise
                    self._replace(error)
        raise AssertionError("unreachable: the second attempt returns")

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        with self._lock:
            if self._connection is not None and self._is_of_this_process():
                self._connection.close()
            self._connection = self._opened_as = None

    def _replace(self, error: sqlite3.DatabaseError) -> None:
        """Move the file aside that broke while it was open, unless another process has done so."""
        path, file = self.path, self._file
        self.close()
        with contextlib.suppress(OSError), _alone_with(path):
            if file == _file_at(path):
                _warn_moved(path, error, _moved_aside(path))

    def _is_of_this_process(self) -> bool:
        return self._opened_as is not None and self._opened_as[1] == os.getpid()

    def _open(self) -> sqlite3.Connection:
        """Return the open file; after a fork, or with another cache folder, another one."""
        here = (self.path, os.getpid())
        if self._opened_as != here:
            self.close()
            self._connection = self._opened(here[0])
            self._opened_as, self._file = here, _file_at(here[0])
        assert self._connection is not None
        return self._connection

    def _opened(self, path: Path) -> sqlite3.Connection:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with _alone_with(path):
                return self._opened_or_replaced(path)
        except (OSError, sqlite3.OperationalError) as error:  # a timeout of the lock is an OSError
            _warn(f"nothing can be kept in {path.parent} ({error}): this kernel remembers alone")
            return self._with_tables(":memory:")

    def _opened_or_replaced(self, path: Path) -> sqlite3.Connection:
        try:
            return self._with_tables(path)
        except sqlite3.DatabaseError as error:
            if not _is_broken(error):
                raise
            _warn_moved(path, error, _moved_aside(path))
            return self._with_tables(path)

    def _with_tables(self, path: Path | str) -> sqlite3.Connection:
        connection = sqlite3.connect(path, timeout=BUSY_S, check_same_thread=False)
        try:
            _claim(connection, self._version)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute(f"PRAGMA journal_size_limit={MAX_JOURNAL_BYTES}")
            connection.executescript(self._schema)
        except BaseException:
            connection.close()
            raise
        return connection


def _alone_with(path: Path) -> FileLock:
    """Let one process at a time look whether a file is broken.

    Else two would move it aside, the second one the first one's new file.
    """
    from filelock import FileLock

    return FileLock(f"{path}.lock", timeout=OPENING_S)


def _file_at(path: Path) -> tuple[int, int] | None:
    with contextlib.suppress(OSError):
        found = path.stat()
        return found.st_dev, found.st_ino
    return None


def _claim(connection: sqlite3.Connection, version: int) -> None:
    """Mark an empty file as ours.

    Raises
    ------
    sqlite3.DatabaseError
        If it is no database, or another program's, or of another version.
    """
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (there,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if (application, there) == (APPLICATION_ID, version):
        return
    if tables or application or there:
        raise _Foreign("another program's file, or of another version")
    connection.execute("PRAGMA auto_vacuum=INCREMENTAL")  # can be chosen while it is empty
    connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version={version}")


def _is_broken(error: sqlite3.DatabaseError) -> bool:
    """Whether the file is to blame, rather than the disk, the rights or the moment."""
    broken = isinstance(error, _Foreign) or type(error) is sqlite3.DatabaseError
    return broken or "no such table" in str(error) or "no such column" in str(error)


def _moved_aside(path: Path) -> Path:
    """Rename a file with what belongs to it, and return its new path."""
    aside = path.with_name(f"{path.stem}.broken-{time.time_ns()}{path.suffix}")
    path.rename(aside)
    for ending in ("-wal", "-shm"):
        path.with_name(path.name + ending).unlink(missing_ok=True)
    return aside


def _warn_moved(path: Path, error: sqlite3.DatabaseError, aside: Path) -> None:
    _warn(f"the cache {path} cannot be read ({error}); it is now {aside.name}")


def _warn(sentence: str) -> None:
    warn(sentence, CacheWarning)
