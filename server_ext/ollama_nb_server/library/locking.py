"""How long a lock is waited for that another process holds: until it shows no sign of life."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from ollama_nb_server.library.errors import StoreLocked


@contextmanager
def store_lock(lock: FileLock, root: Path, limit_s: float) -> Iterator[None]:
    """Hold the lock of a store. A thread may do so again within.

    Raises
    ------
    StoreLocked
        If somebody else has held it for so many seconds.
    """
    try:
        lock.acquire(timeout=limit_s)
    except Timeout:
        raise StoreLocked(root, Path(lock.lock_file), limit_s) from None
    try:
        yield
    finally:
        lock.release()


class Patience:
    """Is over when what is watched has not changed for so many seconds.

    What another process does with a lock may take long; that it does nothing may not.
    """

    def __init__(self, limit_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit_s, self._clock = limit_s, clock
        self._sign: object = None
        self._since = clock()

    def is_over(self, sign: object) -> bool:
        """Look again; `sign` is anything that changes as long as the other one works."""
        if sign != self._sign:
            self._sign, self._since = sign, self._clock()
        return self._clock() - self._since > self.limit_s
