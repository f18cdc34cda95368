"""How much of a load's weights has been read, of all its files together.

llama.cpp tells before each tensor how much it has placed. A file that is mapped is read before the
first tensor is placed, all at once and without a word: how far that is can only be seen by how much
of it this process has in its memory.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from ollama_nb_server.engine.messages import LoadSpec

LOOK_S = 0.1
STEP = 0.01  # is told; less is not


def mapped_bytes() -> int:
    """Bytes of files that this process has mapped and in memory; 0 where nobody counts them."""
    return getattr(psutil.Process().memory_info(), "shared", 0)


class LoadProgress:
    """Counts one load's weights; `reading` a file after the other, from any thread it is asked.

    Parameters
    ----------
    total_bytes
        Of all files that will be read.
    mapped
        Counts what is mapped and in memory.
    """

    def __init__(self, total_bytes: int, mapped: Callable[[], int] = mapped_bytes) -> None:
        self._total_bytes, self._mapped = max(total_bytes, 1), mapped
        self.moved = threading.Event()  # somebody has something to look at
        self._lock = threading.Lock()  # one thread reads the files, another looks how far it is
        self._restart()

    @classmethod
    def of(cls, spec: LoadSpec) -> LoadProgress:
        """Of the files whose weights a load reads."""
        paths = [spec.translation or spec.model_path, spec.draft]
        return cls(sum(_size(path) for path in paths if path))

    def restart(self) -> None:
        """Count anew: the load is tried once more."""
        with self._lock:
            self._restart()

    def _restart(self) -> None:
        self._before_bytes = 0  # of files that have been read
        self._open("", 0)

    def _open(self, path: str, mapped_bytes: int) -> None:
        self._file_bytes, self._mapped_before = _size(path), mapped_bytes
        self._placed: float | None = None  # of the file's weights; None: placing has not begun
        self._read_first = 0.0  # the part of the file's way that was behind it by then

    @contextmanager
    def reading(self, path: str) -> Iterator[Callable[[float], None]]:
        """Read a file; the block tells what part of its weights has been placed."""
        with self._lock:
            self._open(path, self._mapped())
        yield self._place
        with self._lock:
            self._before_bytes += self._file_bytes
            self._open("", 0)

    def _place(self, placed: float) -> None:
        with self._lock:
            if self._placed is None:
                self._read_first = self._read_share() / 2
            self._placed = placed
        self.moved.set()

    @property
    def fraction(self) -> float:
        """From 0 to 1. Reading a file that is mapped first, and placing, is half of the way each.

        Where nothing is read before, placing is the whole way.
        """
        with self._lock:
            done_bytes = self._before_bytes + self._file_bytes * self._of_file()
        return min(done_bytes / self._total_bytes, 1.0)

    def _of_file(self) -> float:
        if self._placed is None:
            return self._read_share() / 2
        return self._read_first + (1 - self._read_first) * self._placed

    def _read_share(self) -> float:
        """The part of the file that is mapped and in memory."""
        read_bytes = self._mapped() - self._mapped_before
        return min(max(read_bytes / self._file_bytes, 0.0), 1.0) if self._file_bytes else 0.0


def _size(path: str) -> int:
    """Bytes of a file; one that is not there fails in the load, with a better word for it."""
    file = Path(path)
    return file.stat().st_size if file.is_file() else 0


@contextmanager
def told(progress: LoadProgress, tell: Callable[[float], None]) -> Iterator[None]:
    """While the block lasts, tell the fraction wherever it has grown, from a thread of its own."""
    ended = threading.Event()

    def watch() -> None:
        last, is_over = 0.0, False
        while not is_over:
            progress.moved.wait(LOOK_S)
            progress.moved.clear()
            is_over = ended.is_set()  # and what it has come to is told
            fraction = progress.fraction
            if abs(fraction - last) >= STEP:
                tell(fraction)
                last = fraction

    watcher = threading.Thread(target=watch, name="load progress", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        progress.moved.set()
        watcher.join()
