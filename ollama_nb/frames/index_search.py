"""The nearest vectors of many by an index of usearch: no row is compared with all others.

An index may miss a neighbour, seldom; cosines and their order are computed here.
"""

from __future__ import annotations

import functools
import importlib.util
from typing import Any

from ollama_nb.frames.bar import tell

STEP_ROWS = 512
EXPANSION = 256  # candidates that are looked at for a row; more of them miss fewer neighbours
SLOW = (
    "each of these rows is compared with each, which takes a while: usearch would find neighbours "
    "by an index (pip install usearch, or pip install 'ollama-nb[search]')"
)


@functools.cache  # so that it is said once
def can_index() -> bool:
    """Whether usearch is installed; if not, say what it would spare."""
    if importlib.util.find_spec("usearch") is not None:
        return True
    tell(SLOW)
    return False


def nearest_by_index(vectors: Any, k: int) -> tuple[Any, Any]:
    """Return the k nearest others of each row, and their cosines (-inf: there is none)."""
    import numpy as np

    there = np.flatnonzero(~np.isnan(vectors).any(axis=1))
    index = _index(vectors, there, k)
    places = np.zeros((len(vectors), k), dtype=int)
    values = np.full((len(vectors), k), -np.inf, dtype=np.float32)
    for begin in range(0, len(there), STEP_ROWS):
        rows = there[begin : begin + STEP_ROWS]
        found, is_found = _candidates(index.search(vectors[rows], k + 1))
        cosines = np.einsum("rd,rcd->rc", vectors[rows], vectors[found])
        cosines = np.where(is_found & (found != rows[:, None]), cosines, -np.inf)
        order = np.lexsort((found, -cosines))[:, :k]
        width = order.shape[1]
        places[rows, :width] = np.take_along_axis(found, order, axis=1)
        values[rows, :width] = np.take_along_axis(cosines, order, axis=1)
    return places, values


def _index(vectors: Any, there: Any, k: int) -> Any:
    from usearch.index import Index

    looked_at = max(EXPANSION, 2 * k)
    index = Index(
        ndim=vectors.shape[1],
        metric="ip",
        dtype="f32",
        expansion_add=looked_at,
        expansion_search=looked_at,
    )
    index.add(there, vectors[there], threads=1)  # beside one another they lose some rows
    return index


def _candidates(matches: Any) -> tuple[Any, Any]:
    """Return the positions that were found for each row, and which of them count."""
    import numpy as np

    keys = np.atleast_2d(np.asarray(matches.keys)).astype(np.int64)
    counts = np.atleast_1d(np.asarray(matches.counts))
    is_found = np.arange(keys.shape[1]) < counts[:, None]
    return np.where(is_found, keys, 0), is_found
