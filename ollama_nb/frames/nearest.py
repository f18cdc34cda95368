"""Search among vectors, with NumPy: a block of rows against all, so that memory is bounded.

Rows are positions here. A row that is missing (NaN) is near to nothing. Of more rows than the
square of which is worth waiting for, an index of usearch finds the nearest, if that is there.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

from ollama_nb.frames.errors import BadColumns
from ollama_nb.frames.index_search import can_index, nearest_by_index

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

BLOCK_ROWS = 512  # times 100,000 rows of float32 is 200 MB
INDEXED_ROWS = 100_000  # beyond, an index finds the nearest


def unit_rows(frame: pd.DataFrame) -> Any:
    """Return the vectors of a frame as float32 of length one; NaN stays.

    Raises
    ------
    BadColumns
        If the frame holds something else than vectors.
    """
    import numpy as np

    try:
        block = frame.to_numpy(dtype=np.float32, na_value=np.nan)
    except (TypeError, ValueError):
        raise BadColumns(
            "these columns are no vectors: call it on what .llm.embed() returns"
        ) from None
    if not block.shape[1] and len(block):
        raise BadColumns("the frame has no columns: no text was embedded")
    lengths = np.linalg.norm(block, axis=1, keepdims=True)
    return np.divide(block, lengths, out=block.copy(), where=lengths > 0)


def blocks(vectors: Any) -> Iterator[tuple[int, Any]]:
    """Return the cosines of each block of rows with all rows, and the block's first row."""
    import numpy as np

    for begin in range(0, len(vectors), BLOCK_ROWS):
        cosines = vectors[begin : begin + BLOCK_ROWS] @ vectors.T
        yield begin, np.nan_to_num(cosines, copy=False, nan=-np.inf)


def nearest(vectors: Any, k: int) -> tuple[Any, Any]:
    """Return the k nearest others of each row, and their cosines (-inf: there is none)."""
    k = max(min(k, len(vectors) - 1), 0)
    if k and len(vectors) > INDEXED_ROWS and can_index():
        return nearest_by_index(vectors, k)
    return _nearest_of_all(vectors, k)


def _nearest_of_all(vectors: Any, k: int) -> tuple[Any, Any]:
    """Compare each row with each."""
    import numpy as np

    places, values = [np.empty((0, k), dtype=int)], [np.empty((0, k), dtype=np.float32)]
    for begin, cosines in blocks(vectors):
        rows = np.arange(len(cosines))
        cosines[rows, begin + rows] = -np.inf  # itself
        best = highest(cosines, k)
        places.append(best)
        values.append(np.take_along_axis(cosines, best, axis=1))
    return np.concatenate(places), np.concatenate(values)


def highest(values: Any, k: int) -> Any:
    """Return the positions of the k highest values of each row, the highest first.

    Of equal ones the first, so that the order never depends on the algorithm. Only those that can
    be among them are sorted: the rest of a long row is most of it.
    """
    import numpy as np

    length = values.shape[1]
    if k >= length:
        return np.argsort(-values, axis=1, kind="stable")
    if not k or not len(values):
        return np.empty((len(values), k), dtype=int)
    least = np.partition(values, length - k, axis=1)[:, length - k]
    return np.stack([_highest_of(row, low, k) for row, low in zip(values, least, strict=True)])


def _highest_of(row: Any, least: Any, k: int) -> Any:
    """Return the positions of the k highest values of a row, whose k-th highest is known."""
    import numpy as np

    possible = np.flatnonzero(row >= least)
    return possible[np.argsort(-row[possible], kind="stable")[:k]]


def count(k: int) -> int:
    """Return how many are wanted.

    Raises
    ------
    BadColumns
        If it is not a whole number from 1.
    """
    try:
        wanted = operator.index(k)
    except TypeError:
        wanted = 0
    if wanted < 1 or isinstance(k, bool):
        raise BadColumns(f"k is how many to find, a whole number from 1, not {k!r}")
    return wanted
