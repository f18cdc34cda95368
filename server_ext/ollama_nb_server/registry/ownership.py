"""Who may write a blob's partial file: one process at a time, and never beside a real Ollama.

Our servers hold a file lock for it, at the store's root, where Ollama looks for nothing. Ollama
knows no lock: a partial file that has just been written is its own, unless we were the last.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from ollama_nb_server.library.blobs import touch
from ollama_nb_server.library.digests import Digest
from ollama_nb_server.library.locking import Patience
from ollama_nb_server.registry.errors import DownloadStuck
from ollama_nb_server.registry.limits import Limits
from ollama_nb_server.registry.parts import PartFiles
from ollama_nb_server.registry.threads import finished

FOLDER = ".ollama-nb-downloads"
LOOK_S = 0.1


class Ownership:
    """The right to download one blob."""

    def __init__(self, root: Path, digest: Digest, files: PartFiles, limits: Limits) -> None:
        self._digest = digest
        self._path = root / FOLDER / f"{digest.hex}.lock"
        self._files, self._limits = files, limits
        self._lock = FileLock(self._path, mode=0o664, thread_local=False)

    @asynccontextmanager
    async def held(self, waiting: Callable[[], bool]) -> AsyncIterator[None]:
        """Wait until nobody else downloads this blob, then own it.

        Parameters
        ----------
        waiting
            Called again and again while somebody else does; false gives up, and owns nothing.

        Raises
        ------
        DownloadStuck
            If the other one holds the lock, but nothing comes to it for `stuck_s` seconds.
        """
        patience = Patience(self._limits.stuck_s)
        try:
            while (patience_s := await finished(self._taken)) is None:
                if not waiting():
                    yield
                    return
                if patience.is_over(await finished(self._files.changed_at)):
                    raise DownloadStuck(self._digest.colon, str(self._path), patience.limit_s)
                await asyncio.sleep(LOOK_S)
            # What is waited for is a file's age, which nobody announces.
            while not await finished(self._quiet, patience_s) and waiting():  # noqa: ASYNC110
                await asyncio.sleep(LOOK_S)
            yield
        finally:
            # Whoever is cancelled while a thread takes the lock has it all the same.
            if self._lock.is_locked:
                self._released()

    def _taken(self) -> float | None:
        """Take the lock; returns how long the data must have rested, None if the lock is held."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        known_at = self._path.stat().st_mtime if self._path.exists() else None
        try:
            self._lock.acquire(blocking=False)
        except Timeout:
            return None
        if known_at is None:
            return self._limits.foreign_s
        changed_at = self._files.changed_at()
        left_by_us = changed_at is None or changed_at <= known_at
        return 0.0 if left_by_us else self._limits.orphan_s

    def _quiet(self, seconds: float) -> bool:
        changed_at = self._files.changed_at()
        return not seconds or changed_at is None or time.time() - changed_at >= seconds

    def _released(self) -> None:
        """Leave a mark if there is something to go on with, nothing otherwise."""
        with suppress(OSError):  # without a mark the next one waits a little, and that is all
            if self._files.changed_at() is None:
                self._path.unlink(missing_ok=True)
            else:
                touch(self._path)
        self._lock.release()
