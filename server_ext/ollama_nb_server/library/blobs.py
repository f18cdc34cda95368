"""Blobs: content-addressed files. Written to a temporary file, hashed, then renamed into view."""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

from ollama_nb_server.library.digests import Digest
from ollama_nb_server.library.errors import BlobNotFound, DigestMismatch, StoreBroken

CHUNK_BYTES = 1 << 20
MODE = 0o644


class BlobWriter:
    """Takes a blob's bytes in pieces; nothing is visible before `commit`.

    Use it in a `with` block: leaving it without a commit removes what was written.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._path = temporary(folder)
        self._file = self._path.open("xb")
        self._hash = hashlib.sha256()
        self._committed = False
        self.size = 0

    def write(self, data: bytes) -> None:
        """Add some bytes."""
        self._file.write(data)
        self._hash.update(data)
        self.size += len(data)

    def commit(self, expected: str | None = None) -> Digest:
        """Make the blob visible under its digest.

        Raises
        ------
        DigestMismatch
            If the announced digest, compared as text, is another one; nothing stays stored.
        """
        digest = Digest(self._hash.hexdigest())
        if expected is not None and expected != digest.colon:
            raise DigestMismatch(expected, digest.colon)
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        target = self._folder / digest.filename
        if target.exists():
            self._path.unlink()
            touch(target)
        else:
            self._path.chmod(MODE)
            self._path.replace(target)
        self._committed = True
        return digest

    def abort(self) -> None:
        """Forget what was written, unless it is a blob by now."""
        if self._committed:
            return
        with suppress(OSError):  # a full disk refuses what is left to write: nobody wants it
            self._file.close()
        self._path.unlink(missing_ok=True)

    def __enter__(self) -> BlobWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.abort()


def touch(path: Path) -> None:
    """Make a file young, so that no pruning takes it; another user's file is left as it is."""
    with suppress(PermissionError):
        os.utime(path)


def temporary(folder: Path) -> Path:
    """A free name for a file that becomes a blob, in the form that Ollama prunes."""
    return folder / f"sha256-{secrets.randbelow(10**10)}"


class Blobs:
    """The folder of all blobs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, digest: Digest) -> Path:
        """Where a blob lies, whether it is there or not."""
        return self.folder / digest.filename

    def has(self, digest: Digest) -> bool:
        """Whether the blob is there, as a regular file."""
        path = self.path(digest)
        return path.is_file() and not path.is_symlink()

    def existing(self, digest: Digest) -> Path:
        """The path of a blob that is there.

        Raises
        ------
        BlobNotFound
            If it is not.
        StoreBroken
            If something else than a file has its name.
        """
        path = self.path(digest)
        try:
            mode = path.lstat().st_mode
        except FileNotFoundError:
            raise BlobNotFound(digest.colon) from None
        if not stat.S_ISREG(mode):
            raise StoreBroken(f"{path} is not a regular file")
        return path

    def writer(self) -> BlobWriter:
        """A new blob."""
        return BlobWriter(self.folder)

    def add(self, data: bytes) -> tuple[Digest, bool]:
        """Store bytes; also tells whether they are new."""
        digest = Digest(hashlib.sha256(data).hexdigest())
        new = not self.has(digest)
        with self.writer() as writer:
            writer.write(data)
            writer.commit()
        return digest, new

    def add_file(self, source: Path) -> Digest:
        """Store a copy of a file."""
        with self.writer() as writer, source.open("rb") as file:
            while data := file.read(CHUNK_BYTES):
                writer.write(data)
            return writer.commit()

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A place beside the blobs for a program to write to; gone afterwards, unless adopted."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = temporary(self.folder)
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    def adopt(self, file: Path) -> tuple[Digest, bool]:
        """Make a file that lies in this folder a blob; also tells whether it is new."""
        digest = Digest(_sha256(file))
        target = self.path(digest)
        if self.has(digest):
            touch(target)
            return digest, False
        file.chmod(MODE)
        file.replace(target)
        return digest, True

    def touch(self, digest: Digest) -> None:
        """Mark a blob as in use now."""
        touch(self.existing(digest))

    def remove(self, digest: Digest) -> None:
        """Remove a blob; one that is gone already is fine."""
        self.path(digest).unlink(missing_ok=True)


def _sha256(path: Path) -> str:
    """The digest of a file's bytes, all of which are on the disk then."""
    hasher = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(CHUNK_BYTES):
            hasher.update(data)
        os.fsync(file.fileno())
    return hasher.hexdigest()
