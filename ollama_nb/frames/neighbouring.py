"""What is near to what: verbs on the vectors that `.llm.embed()` returns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ollama_nb.frames.errors import BadColumns
from ollama_nb.frames.nearest import blocks, count, nearest, unit_rows

if TYPE_CHECKING:
    import pandas as pd

SIMILARITY = "similarity"


def neighbors(frame: pd.DataFrame, /, k: int = 5) -> pd.DataFrame:
    """Find the rows that are most like each row.

    Parameters
    ----------
    k
        How many for each, at most.

    Returns
    -------
    pandas.DataFrame
        Columns `row` and `neighbor` (index labels), `rank` (1 is the nearest) and `similarity`
        (float32). A row without a vector has no neighbours and is nobody's. Exact up to 100,000
        rows; beyond, usearch finds them by an index, if it is installed.

    Examples
    --------
    >>> df["review"].llm.embed().llm.neighbors(3)  # doctest: +SKIP
    """
    import numpy as np
    import pandas as pd

    places, cosines = nearest(unit_rows(frame), count(k))
    rows, ranks = np.nonzero(np.isfinite(cosines))
    found: pd.DataFrame = pd.DataFrame(
        {
            "row": frame.index[rows],
            "neighbor": frame.index[places[rows, ranks]],
            "rank": ranks + 1,
            SIMILARITY: cosines[rows, ranks],
        }
    )
    return found


def pairwise(frame: pd.DataFrame, /) -> pd.DataFrame:
    """Compare each row with each.

    Returns
    -------
    pandas.DataFrame
        float32, one row and one column for each row, with its index labels: the cosine; NaN where
        one of the two has no vector. It has the square of the rows: `neighbors` needs far less.

    Examples
    --------
    >>> df["review"].llm.embed().llm.pairwise()  # doctest: +SKIP
    """
    import pandas as pd

    vectors = unit_rows(frame)
    labels = frame.index
    found: pd.DataFrame = pd.DataFrame(vectors @ vectors.T, index=labels, columns=labels)
    return found


def duplicates(frame: pd.DataFrame, /, threshold: float = 0.95) -> pd.DataFrame:
    """Find pairs of rows that say the same.

    Parameters
    ----------
    threshold
        The lowest cosine. What it means depends on the model: look at the pairs.

    Returns
    -------
    pandas.DataFrame
        Columns `first` and `second` (index labels) and `similarity` (float32), the most similar
        pair first; each pair once.

    Raises
    ------
    BadColumns
        For a threshold that is not from -1 to 1.

    Examples
    --------
    >>> df["review"].llm.embed().llm.duplicates(0.9)  # doctest: +SKIP
    """
    import numpy as np
    import pandas as pd

    if isinstance(threshold, bool) or not -1 <= threshold <= 1:
        raise BadColumns(f"threshold is a cosine from -1 to 1, not {threshold!r}")
    parts = [_pairs(begin, cosines, threshold) for begin, cosines in blocks(unit_rows(frame))]
    pairs = np.concatenate([np.empty((0, 3)), *parts])
    pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0], -pairs[:, 2]))]
    found: pd.DataFrame = pd.DataFrame(
        {
            "first": frame.index[pairs[:, 0].astype(int)],
            "second": frame.index[pairs[:, 1].astype(int)],
            SIMILARITY: pairs[:, 2].astype(np.float32),
        }
    )
    return found


def _pairs(begin: int, cosines: Any, threshold: float) -> Any:
    """Return pairs of a block as rows (first, second, cosine), the earlier row first."""
    import numpy as np

    # Rounding: a text and its twin may be 0.9999999 alike.
    rows, others = np.nonzero(cosines >= threshold - 1e-6)
    later = others > rows + begin
    rows, others = rows[later], others[later]
    return np.column_stack([rows + begin, others, cosines[rows, others]])


def outliers(frame: pd.DataFrame, /, k: int = 5) -> pd.Series[Any]:
    """Tell how far each row is from its nearest ones.

    Parameters
    ----------
    k
        How many of the nearest count.

    Returns
    -------
    pandas.Series
        float32, named `distance`, with the index of the frame: 1 less the mean cosine to the k
        nearest others; NaN where there is no vector, or no other one.
        `.sort_values(ascending=False)` begins with what is most unlike the rest.

    Examples
    --------
    >>> df["review"].llm.embed().llm.outliers().nlargest(3)  # doctest: +SKIP
    """
    import numpy as np
    import pandas as pd

    _, cosines = nearest(unit_rows(frame), count(k))
    there = np.isfinite(cosines)
    sums = np.where(there, cosines, 0).sum(axis=1)
    counts = there.sum(axis=1)
    means = np.divide(sums, counts, out=np.full(len(frame), np.nan), where=counts > 0)
    found: pd.Series[Any] = pd.Series(
        (1 - means).astype(np.float32), index=frame.index, name="distance"
    )
    return found
