"""A place in a GGUF file that only moves forward, with a window of bytes around it.

What a length promises is checked against the file before memory is taken for it, and all that is
kept or counted has a limit. The file is read, not mapped: a mapped one that shrinks is a SIGBUS.
"""

from __future__ import annotations

import struct
from typing import Any, BinaryIO

import numpy as np

from ollama_nb_server.library.errors import NotGGUF
from ollama_nb_server.library.gguf.tables import FLOAT32, NUMPY, SCALARS
from ollama_nb_server.library.gguf.texts import Places, chain, decoded

WINDOW_BYTES = 1 << 18
MAX_HEADER_BYTES = 256 << 20  # the largest vocabularies of today take 30 MiB
MAX_KEPT_BYTES = 64 << 20  # of texts and short arrays, which stay in memory
MAX_ITEMS = 4_000_000  # in all arrays of a file
ITEM_BYTES = 64  # what a value costs in memory besides its text

STRUCTS = {kind: struct.Struct(f"<{code}") for kind, code in SCALARS.items()}
LENGTH = struct.Struct("<Q")


class Cursor:
    """Takes values off a file, never more than there is."""

    def __init__(self, file: BinaryIO, size: int, start: int = 0) -> None:
        self._file, self._size = file, size
        self._end = min(size, MAX_HEADER_BYTES)
        self._data, self._start, self._at = b"", start, 0
        self._kept, self._items = 0, 0
        self._chained = -1  # where the window began in which a chain was looked for

    @property
    def place(self) -> int:
        """Where it is, in bytes from the file's start."""
        return self._start + self._at

    def take(self, count: int) -> bytes:
        """The next bytes."""
        at = self._room(count)
        self._at = at + count
        return self._data[at : self._at]

    def skip(self, count: int) -> None:
        """Move on without reading."""
        self._require(count)
        self._at += count
        if self._at > len(self._data):
            self._start, self._at, self._data = self.place, 0, b""

    def scalar(self, kind: int) -> Any:
        """A number or a truth value; 32-bit floats in their shortest form, as Go prints them."""
        form = STRUCTS.get(kind)
        if form is None:
            raise NotGGUF(f"a value is of type {kind}, which is unknown")
        value = form.unpack_from(self._data, self._room(form.size))[0]
        self._at += form.size
        return float(str(np.float32(value))) if kind == FLOAT32 else value

    def u32(self) -> int:
        """An unsigned number of 32 bits."""
        return int.from_bytes(self.take(4), "little")

    def u64(self) -> int:
        """An unsigned number of 64 bits."""
        return int.from_bytes(self.take(8), "little")

    def text(self, limit: int | None = None) -> str:
        """A text with its length before it."""
        length = self.u64()
        if limit is not None and length > limit:
            raise NotGGUF(f"a name of {length} bytes is too long")
        self._require(length)
        self.keep(length)
        return self.take(length).decode("utf-8", "replace")

    # --- many at once -----------------------------------------------------------------------------

    def skip_texts(self, count: int) -> None:
        """Move past so many texts."""
        self._require(count * LENGTH.size)
        while count:
            _, ends = self._chain(count)
            if len(ends):
                self._at = int(ends[-1])
                count -= len(ends)
            else:
                count -= self._skip_singly(count)

    def texts(self, count: int) -> list[str]:
        """So many texts."""
        self._require(count * LENGTH.size)
        found: list[str] = []
        while len(found) < count:
            places, ends = self._chain(count - len(found))
            if len(ends):
                found += decoded(self._data, places, ends)
                self._at = int(ends[-1])
            else:
                found += self._texts_singly(count - len(found))
        return found

    def _chain(self, count: int) -> tuple[Places, Places]:
        """Texts whose places are found at once, tried only once a window; else nothing."""
        at = self._room(LENGTH.size)
        tried, self._chained = self._chained == self._start, self._start
        return chain(self._data, at, 0 if tried else count)

    def _skip_singly(self, count: int) -> int:
        """Move past the texts that begin in this window; tells how many, one at least."""
        at, last, done = self._at, len(self._data) - LENGTH.size, 0
        while done < count and at <= last:
            at += LENGTH.size + LENGTH.unpack_from(self._data, at)[0]
            done += 1
        self.skip(at - self._at)
        return done

    def _texts_singly(self, count: int) -> list[str]:
        """The texts that begin in this window, one at least."""
        found: list[str] = []
        start, last = self._start, len(self._data) - LENGTH.size
        while len(found) < count and self._start == start and self._at <= last:
            length = self.u64()
            self._require(length)
            found.append(self.take(length).decode("utf-8", "replace"))
        return found

    def numbers(self, kind: int, count: int) -> np.ndarray[Any, Any]:
        """So many scalars of one type."""
        return np.frombuffer(self.take(count * STRUCTS[kind].size), NUMPY[kind])

    # --- limits -----------------------------------------------------------------------------------

    def keep(self, num_bytes: int) -> None:
        """Count what stays in memory."""
        self._kept += ITEM_BYTES + num_bytes
        if self._kept > MAX_KEPT_BYTES:
            raise NotGGUF(f"its metadata is larger than {MAX_KEPT_BYTES >> 20} MiB")

    def count_items(self, count: int) -> None:
        """Count what arrays hold."""
        self._items += count
        if self._items > MAX_ITEMS:
            raise NotGGUF(f"its arrays hold more than {MAX_ITEMS} values")

    def _require(self, count: int) -> None:
        if count > self._end - self.place:
            if self._end == self._size:
                raise NotGGUF("the file ends too early")
            raise NotGGUF(f"its header is larger than {MAX_HEADER_BYTES >> 20} MiB")

    def _room(self, count: int) -> int:
        """The place in the window of that many bytes."""
        fits = self._at + count <= len(self._data)
        return self._at if fits else self._move_window(self._at, count)

    def _move_window(self, at: int, count: int) -> int:
        """Begin the window at this place of it, with so many bytes or more in it; returns 0."""
        self._start, self._at, self._data = self._start + at, 0, b""
        self._require(count)
        self._file.seek(self._start)
        self._data = self._file.read(max(count, min(WINDOW_BYTES, self._end - self._start)))
        if len(self._data) < count:
            raise NotGGUF("the file ends too early")
        return 0
