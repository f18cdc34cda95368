"""Hashes a blob while it is coming in: right behind the front, from the system's file cache."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from ollama_nb_server.library.digests import Digest
from ollama_nb_server.registry.limits import Limits
from ollama_nb_server.registry.threads import finished, together

STEP_BYTES = 4 << 20  # less is not worth a thread's attention
HOP_BYTES = 32 << 20  # more would make a cancelled download wait
BUFFER_BYTES = 1 << 19


class Verification:
    """The hash of a file up to a front that moves; and the file's way to the disk."""

    def __init__(self, path: Path, total: int, front: Callable[[], int], limits: Limits) -> None:
        self._path, self._total, self._front = path, total, front
        self._flush_bytes = limits.flush_bytes
        self._hash = hashlib.sha256()
        self._position = 0
        self._moved = asyncio.Event()

    def moved(self) -> None:
        """There may be more to hash."""
        self._moved.set()

    async def digest(self) -> Digest:
        """Follow the front to the end of the file; all of it is on the disk then."""
        await together(self._hashing(), self._flushing())
        return Digest(self._hash.hexdigest())

    async def _hashing(self) -> None:
        with self._path.open("rb", buffering=0) as file:
            buffer = memoryview(bytearray(BUFFER_BYTES))
            while self._position < self._total:
                front = self._front()
                if front - self._position < STEP_BYTES and front < self._total:
                    await self._news()
                    continue
                end = min(front, self._position + HOP_BYTES)
                await finished(self._hash_up_to, file.readinto, buffer, end)

    def _hash_up_to(
        self, read: Callable[[memoryview], int | None], buffer: memoryview, end: int
    ) -> None:
        while self._position < end:
            num_bytes = read(buffer[: end - self._position])
            if not num_bytes:
                raise OSError(f"{self._path} was cut short by another program")
            self._hash.update(buffer[:num_bytes])
            self._position += num_bytes

    async def _flushing(self) -> None:
        """Bring the data to the disk bit by bit, so that the end need not wait for all of it."""
        flushed = 0
        with self._path.open("r+b", buffering=0) as file:
            while flushed < self._total:
                front = self._front()
                if front - flushed < self._flush_bytes and front < self._total:
                    await self._news()
                    continue
                await finished(os.fsync, file.fileno())
                flushed = front

    async def _news(self) -> None:
        self._moved.clear()
        await self._moved.wait()
