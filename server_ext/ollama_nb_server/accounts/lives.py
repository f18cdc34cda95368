"""Which servers that share a store are alive: each holds a lock on a file for its whole life.

The system lets go of it however a process ends, also in a container, where its id says nothing.
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout


class Life:
    """The life of one server, which `key` names. Use it on one thread."""

    def __init__(self, folder: Path) -> None:
        self.key = secrets.token_hex(8)
        self._lock = _lock(folder, self.key)

    def begin(self) -> None:
        """Hold the lock; may be called again.

        Raises
        ------
        OSError
            If the file cannot be made.
        """
        if not self._lock.is_locked:
            self._lock.acquire(timeout=0)

    def end(self) -> None:
        """Let go of it, and leave nothing behind."""
        self._lock.release()
        Path(self._lock.lock_file).unlink(missing_ok=True)


def is_over(folder: Path, key: str) -> bool:
    """Whether the server of this key has ended; what it left behind is removed then."""
    lock = _lock(folder, key)
    path = Path(lock.lock_file)
    if not path.exists():
        return True
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    lock.release()
    with suppress(OSError):
        path.unlink()
    return True


def _lock(folder: Path, key: str) -> FileLock:
    return FileLock(folder / f"accounts-{key}.lock", mode=0o600)
