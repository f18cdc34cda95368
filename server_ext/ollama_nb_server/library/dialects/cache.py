"""The translated files: in a folder of the cache for each store, by the digest of their blobs.

A file becomes visible by renaming, so it is whole. Several processes may use one folder.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from ollama_nb_server.library.dialects import copying
from ollama_nb_server.library.dialects.changes import Changes
from ollama_nb_server.library.dialects.errors import (
    CacheNotWritable,
    NoRoomToTranslate,
    TranslationCancelled,
    TranslationStuck,
)
from ollama_nb_server.library.dialects.header import translate
from ollama_nb_server.library.digests import Digest
from ollama_nb_server.library.gguf import GGUFMetadata
from ollama_nb_server.library.locking import Patience

TRANSLATOR = 1  # to be raised when a translation changes
FOLDER = "dialects"
RESERVE_BYTES = 256 << 20  # of the disk, left to others
WAIT_S = 0.2  # between two looks whether it is still wanted
STUCK_S = 300.0  # who holds the lock and writes nothing for so long hangs
LEFT_OVER_S = 3600.0
OURS = re.compile(r"\.?(sha256-[0-9a-f]{64})-(\d+)\.gguf(\.lock|\.[0-9a-f]+\.part)?")


def translated(
    cache: Path,
    metadata: GGUFMetadata,
    digest: Digest,
    changes: Changes,
    cancelled: Callable[[], bool],
) -> Path:
    """The file of that translation, written now unless it is there.

    Blocks, for as long as a copy of the file takes; whoever comes meanwhile waits for it.

    Raises
    ------
    NoRoomToTranslate, CacheNotWritable, TranslationCancelled
    """
    folder = place(cache, metadata.path.parent)
    path = folder / f"{digest.filename}-{TRANSLATOR}.gguf"
    if path.exists():
        return path
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = _acquired(path.with_name(f".{path.name}.lock"), cancelled)
        try:
            if not path.exists():
                _make(path, metadata, changes, cancelled)
        finally:
            lock.release()
    except OSError as error:
        raise CacheNotWritable(folder, error) from error
    return path


def place(cache: Path, blobs: Path) -> Path:
    """The folder for the blobs of one store; other stores have blobs of their own to lose."""
    return cache / FOLDER / hashlib.sha256(os.fsencode(blobs.resolve())).hexdigest()[:16]


def _acquired(path: Path, cancelled: Callable[[], bool]) -> FileLock:
    lock, patience = FileLock(path, thread_local=False), Patience(STUCK_S)
    while True:
        if cancelled():
            raise TranslationCancelled
        with suppress(Timeout):
            lock.acquire(timeout=WAIT_S)
            return lock
        if patience.is_over(_written(path)):
            raise TranslationStuck(path, STUCK_S)


def _written(lock: Path) -> dict[str, int]:
    """When something was last written by those who write the file of this lock."""
    found: dict[str, int] = {}
    for part in lock.parent.glob(f"{lock.stem}.*.part"):
        with suppress(FileNotFoundError):
            found[part.name] = part.stat().st_mtime_ns
    return found


def _make(
    path: Path, metadata: GGUFMetadata, changes: Changes, cancelled: Callable[[], bool]
) -> None:
    planned = translate(metadata, changes)
    free = shutil.disk_usage(path.parent).free
    if planned.size + RESERVE_BYTES > free:
        raise NoRoomToTranslate(planned.size, free, path.parent)
    part = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    try:
        copying.write(metadata.path, part, planned, cancelled)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def prune(cache: Path, blobs: Path, now: float | None = None) -> int:
    """Remove the translations of a store's blobs that are gone, and what was left half-written.

    Returns how many files went. A worker that has one open goes on using it.
    """
    moment = time.time() if now is None else now
    removed = 0
    for path in place(cache, blobs).glob("*"):
        match = OURS.fullmatch(path.name)
        if match is None:
            continue
        is_current = int(match[2]) == TRANSLATOR and (blobs / match[1]).exists()
        if _is_needed(path, match[3] or "", moment, is_current=is_current):
            continue
        with suppress(OSError):  # Windows keeps what is open
            path.unlink()
            removed += 1
    return removed


def _is_needed(path: Path, ending: str, now: float, *, is_current: bool) -> bool:
    """A half-written file is needed while somebody writes it, any other while its blob is there."""
    if not ending.endswith(".part"):
        return is_current
    try:
        return now - path.stat().st_mtime < LEFT_OVER_S
    except OSError:
        return True
