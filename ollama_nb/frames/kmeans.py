"""Vectors in groups: k-means on the sphere, by scikit-learn, the same groups every time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ollama_nb.errors import MissingPackage
from ollama_nb.frames.errors import BadColumns
from ollama_nb.frames.nearest import count

if TYPE_CHECKING:
    from collections.abc import Iterator

STARTS = 5  # of which the best is taken
MOST_GROUPS = 10  # that are tried where nobody says how many
JUDGED_ROWS = 2_000  # of all, by which a number of groups is judged


def groups_of(vectors: Any, k: int | None, seed: int) -> tuple[Any, Any]:
    """Return the group of each vector, the largest group being 0, and the centre of each group.

    Parameters
    ----------
    vectors
        An array (rows, dimensions) of vectors of length one, none of them missing.
    k
        How many groups; None takes the number, from 2 to 10, with the best mean silhouette.
    seed
        Of the starting points.

    Raises
    ------
    MissingPackage
        If scikit-learn is not installed.
    BadColumns
        If there are not so many different vectors.
    """
    import numpy as np

    _refuse_without_scikit_learn()
    distinct = len({row.tobytes() for row in vectors + 0.0})  # -0.0 is 0.0
    if k is not None and count(k) > distinct:
        raise BadColumns(
            f"k is {k} groups, and there are {distinct:,} different vectors: give a smaller k"
        )
    block = vectors.astype(np.float64)  # sums of float32 depend on their order
    with _one_thread():
        found = _fitted(block, k, seed) if k else _best(block, distinct, seed)
    return _largest_first(found.labels_, found.cluster_centers_)


def _refuse_without_scikit_learn() -> None:
    try:
        import sklearn  # noqa: F401
    except ImportError as error:
        raise MissingPackage("scikit-learn", "clusters", "cluster()") from error


def _one_thread() -> Any:
    """Let sums be made in one order, so that no rounding changes a group."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(limits=1)


def _fitted(block: Any, k: int, seed: int) -> Any:
    from sklearn.cluster import KMeans

    return KMeans(n_clusters=k, n_init=STARTS, random_state=seed).fit(block)


def _best(block: Any, distinct: int, seed: int) -> Any:
    """Return the groups with the best mean silhouette; of equal ones the fewest."""
    if distinct < 3:
        return _fitted(block, max(distinct, 1), seed)
    fits = [_fitted(block, k, seed) for k in range(2, min(MOST_GROUPS, distinct - 1) + 1)]
    return max(zip(_silhouettes(block, fits, seed), fits, strict=True), key=lambda pair: pair[0])[1]


def _silhouettes(block: Any, fits: Any, seed: int) -> Iterator[float]:
    """Yield how well each choice of groups keeps its rows apart, judged by some of the rows."""
    import numpy as np
    from sklearn.metrics import silhouette_score

    order = np.random.default_rng(seed).permutation(len(block))
    judged = np.sort(order[:JUDGED_ROWS])
    for fit in fits:
        labels = fit.labels_[judged]
        num_groups = len(np.unique(labels))
        can_tell = 2 <= num_groups < len(judged)
        yield float(silhouette_score(block[judged], labels)) if can_tell else -1.0


def _largest_first(labels: Any, centres: Any) -> tuple[Any, Any]:
    """Number groups by their size, equal ones by their first row."""
    import numpy as np

    _, first, sizes = np.unique(labels, return_index=True, return_counts=True)
    order = np.lexsort((first, -sizes))
    numbers = np.empty(len(order), dtype=int)
    numbers[order] = np.arange(len(order))
    return numbers[labels], centres[order]
