"""`project()`: vectors as points in a plane, by their principal components or by UMAP."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from ollama_nb.errors import MissingPackage
from ollama_nb.frames.embedding import embed_column
from ollama_nb.frames.errors import BadColumns
from ollama_nb.frames.nearest import unit_rows

if TYPE_CHECKING:
    import pandas as pd

X, Y = "x", "y"
METHODS = ("pca", "umap")
UMAP_NEIGHBORS = 15  # UMAP's own default; with fewer rows all others
LEAST_ROWS = 4  # of which UMAP can make something


def project(frame: pd.DataFrame, /, method: str = "pca", *, seed: int = 0) -> pd.DataFrame:
    """Put vectors into a plane, so that they can be looked at.

    Parameters
    ----------
    method
        "pca": the two directions in which the vectors differ most, the same every time. "umap"
        keeps near what is near, and needs umap-learn; distances between groups mean little.
    seed
        Of UMAP; principal components need none.

    Returns
    -------
    pandas.DataFrame
        Columns `x` and `y` of float32, with the index of the frame; NaN where a row has no vector.
        `attrs["shares"]` tells how much of all variance each axis has ("pca").

    Raises
    ------
    MissingPackage
        For "umap" without umap-learn.
    BadColumns
        For another method, or too few vectors for UMAP.

    Examples
    --------
    >>> points = df["review"].llm.embed().llm.project()  # doctest: +SKIP
    >>> points.join(df).llm.plot(color="product", text="review")  # doctest: +SKIP
    """
    import numpy as np
    import pandas as pd

    if method not in METHODS:
        raise BadColumns(f'method is "pca" or "umap", not {method!r}')
    vectors = unit_rows(frame)
    there = ~np.isnan(vectors).any(axis=1)
    points = np.full((len(frame), 2), np.nan, dtype=np.float32)
    told: dict[str, Any] = {"method": method}
    if method == "pca":
        points[there], told["shares"] = principal_components(vectors[there])
    else:
        points[there] = _umap(vectors[there], seed)
    found: pd.DataFrame = pd.DataFrame(points, index=frame.index, columns=[X, Y])
    found.attrs |= told
    return found


def project_texts(
    series: pd.Series[Any], /, method: str = "pca", *, seed: int = 0, **how: Any
) -> pd.DataFrame:
    """Put texts into a plane by their vectors.

    Parameters
    ----------
    method, seed
        As for `project()` of vectors.
    how
        As for `s.llm.embed()`: model, dimensions, options, keep_alive.

    Returns
    -------
    pandas.DataFrame
        As for `project()` of vectors; NaN where a text is missing.

    Examples
    --------
    >>> df["review"].llm.project()  # doctest: +SKIP
    """
    vectors = embed_column(series, **how)
    if not vectors.shape[1]:  # no text at all
        vectors[0] = float("nan")
    return project(vectors, method, seed=seed)


def principal_components(vectors: Any) -> tuple[Any, tuple[float, float]]:
    """Return each row's place on the first two principal axes, and their shares of all variance.

    An axis may point either way: the number of largest size in it is made positive.
    """
    import numpy as np

    rows, columns = vectors.shape
    points, shares = np.zeros((rows, 2)), [0.0, 0.0]
    if not vectors.size:
        return points, (0.0, 0.0)
    block = vectors.astype(np.float64)
    block -= block.mean(axis=0)
    _, _, axes = np.linalg.svd(block if rows <= columns else block.T @ block, full_matrices=False)
    axes = axes[:2]
    largest = np.abs(axes).argmax(axis=1)
    axes *= np.where(axes[np.arange(len(axes)), largest] < 0, -1, 1)[:, None]
    points[:, : len(axes)] = block @ axes.T
    whole = float((block**2).sum())
    if whole > 0:
        shares = [float(part) / whole for part in (points**2).sum(axis=0)]
    return points, (shares[0], shares[1])


def _umap(vectors: Any, seed: int) -> Any:
    """Return what UMAP makes of the vectors, by their cosines; one thread, so that a seed holds."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a part that needs Tensorflow
            from umap import UMAP
    except ImportError as error:
        raise MissingPackage("umap-learn", "umap", 'project("umap")') from error
    if len(vectors) < LEAST_ROWS:
        raise BadColumns(
            f"UMAP needs {LEAST_ROWS} vectors, and there are {len(vectors)}: project() without it"
        )
    return UMAP(
        n_components=2,
        n_neighbors=min(UMAP_NEIGHBORS, len(vectors) - 1),
        metric="cosine",
        init="spectral" if len(vectors) > UMAP_NEIGHBORS else "random",
        random_state=seed,
        n_jobs=1,
    ).fit_transform(vectors)
