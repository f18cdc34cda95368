"""`cluster()`: rows that say alike in groups, numbered, or named by a model that chats."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ollama_nb.frames.embedding import embed_column
from ollama_nb.frames.errors import BadColumns
from ollama_nb.frames.kmeans import groups_of
from ollama_nb.frames.naming import chat_model, names_of
from ollama_nb.frames.nearest import unit_rows
from ollama_nb.frames.texts import texts_of

if TYPE_CHECKING:
    import pandas as pd

NEAREST_TEXTS = 8  # of each group, which its name is made of
CLUSTER = "cluster"


def cluster(
    frame: pd.DataFrame,
    /,
    k: int | None = None,
    label: bool = False,
    *,
    texts: pd.Series[Any] | None = None,
    model: str | None = None,
    seed: int = 0,
) -> pd.Series[Any]:
    """Put vectors into groups of those that point alike, by k-means of scikit-learn.

    Parameters
    ----------
    k
        How many groups. None: from 2 to 10, the number with the best mean silhouette.
    label
        Name the groups: a model that chats is shown the texts that are nearest to each centre.
    texts
        What the vectors were made of, with the same index; for `label`.
    model
        Who writes the names; default as for `ollama_nb.chat()`.
    seed
        Of the starting points; the same one gives the same groups.

    Returns
    -------
    pandas.Series
        Named `cluster`, with the index of the frame: Int64 from 0, the largest group first, or
        Categorical with the names in this order. NA where a row has no vector.

    Raises
    ------
    MissingPackage
        If scikit-learn is not installed.
    BadColumns
        For a `k` that cannot be, or for `label` without texts.
    NoChatModel
        If there is no model that could write names.

    Examples
    --------
    >>> vectors = df["review"].llm.embed()  # doctest: +SKIP
    >>> vectors.llm.cluster(4, label=True, texts=df["review"])  # doctest: +SKIP
    """
    import numpy as np
    import pandas as pd

    told, writer = _labelling(frame, label, texts, model)
    vectors = unit_rows(frame)
    there = np.flatnonzero(~np.isnan(vectors).any(axis=1))
    numbers = pd.array([pd.NA] * len(frame), dtype="Int64")
    names: list[str] = []
    if len(there):
        groups, centres = groups_of(vectors[there], k, seed)
        numbers[there] = groups
        if writer:
            shown = _shown_texts(vectors[there], groups, centres, [told[row] for row in there])
            names = names_of(shown, writer)
    values = _named(numbers, names) if label else numbers
    found: pd.Series[Any] = pd.Series(values, index=frame.index, name=CLUSTER)
    return found


def cluster_texts(
    series: pd.Series[Any],
    /,
    k: int | None = None,
    label: bool = False,
    *,
    model: str | None = None,
    embed_model: str | None = None,
    seed: int = 0,
    **how: Any,
) -> pd.Series[Any]:
    """Put texts into groups of those that say alike.

    Parameters
    ----------
    k, label, model, seed
        As for `cluster()` of vectors.
    embed_model
        Whose vectors; default as for `ollama_nb.embed()`.
    how
        As for `s.llm.embed()`: dimensions, options, keep_alive.

    Returns
    -------
    pandas.Series
        As for `cluster()` of vectors; NA where a text is missing.

    Examples
    --------
    >>> df["review"].llm.cluster(4, label=True)  # doctest: +SKIP
    """
    import pandas as pd

    texts = series if label else None
    _labelling(series, label, texts, model)  # before anything is computed
    vectors = embed_column(series, model=embed_model, **how)
    if not vectors.shape[1]:  # no text at all
        vectors = pd.DataFrame({0: [float("nan")] * len(series)}, index=series.index)
    return cluster(vectors, k, label, texts=texts, model=model, seed=seed)


def _labelling(
    rows: Any, label: bool, texts: pd.Series[Any] | None, model: str | None
) -> tuple[list[str], str]:
    """Return the text of each row, and who writes names; nothing where there are to be none.

    Raises
    ------
    BadColumns
        If something is said of names that nobody asked for, or there are no texts to name.
    """
    if not label:
        for name, given in (("texts", texts), ("model", model)):
            if given is not None:
                raise BadColumns(
                    f"{name}= is for the names of groups: add label=True"
                    + ("; embed_model= makes the vectors" if name == "model" else "")
                )
        return [], ""
    if texts is None:
        raise BadColumns(
            'label=True names groups by their texts: give them too, texts=df["text"], or call '
            "cluster() on the column itself"
        )
    if not texts.index.equals(rows.index):
        raise BadColumns("texts has another index than the vectors: reset or align them first")
    return [text or "" for text in texts_of(texts)], chat_model(model)


def _shown_texts(vectors: Any, groups: Any, centres: Any, texts: list[str]) -> list[list[str]]:
    """Return the texts of each group that are nearest to its centre, equal ones once."""
    import numpy as np

    shown = []
    for number, centre in enumerate(centres):
        rows = np.flatnonzero(groups == number)
        order = rows[np.argsort(-(vectors[rows] @ centre), kind="stable")]
        different = dict.fromkeys(texts[row] for row in order if texts[row].strip())
        shown.append(list(different)[:NEAREST_TEXTS])
    return shown


def _named(numbers: Any, names: list[str]) -> Any:
    import numpy as np
    import pandas as pd

    codes: Any = np.asarray(numbers.to_numpy(dtype="int64", na_value=-1))
    return pd.Categorical.from_codes(codes, categories=pd.Index(names, dtype=object))
