"""Rows of images that were encoded, kept by who showed them and the digest of their files.

A conversation shows its images again at every turn. What was not shown longest goes first.
"""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import numpy.typing as npt

Rows = tuple[npt.NDArray[np.float32], ...]  # of each part of an image

MAX_BYTES = 256 << 20


class ImageCache:
    """Rows by name. Used by one thread."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes, self.num_bytes = max_bytes, 0
        self._rows: OrderedDict[bytes, Rows] = OrderedDict()

    def get(self, name: bytes) -> Rows | None:
        """The rows of an image, if they are still there."""
        rows = self._rows.get(name)
        if rows is not None:
            self._rows.move_to_end(name)
        return rows

    def put(self, name: bytes, rows: Rows) -> None:
        """Keep rows, in place of those that have waited longest."""
        self.num_bytes += _size(rows) - _size(self._rows.pop(name, ()))
        self._rows[name] = rows
        while self.num_bytes > self._max_bytes:
            _, dropped = self._rows.popitem(last=False)
            self.num_bytes -= _size(dropped)


def _size(rows: Rows) -> int:
    return sum(part.nbytes for part in rows)
