"""`df.llm.similarity()`: how much alike two texts of a row are, by their vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ollama_nb.asking.embedding import embedding_model
from ollama_nb.asking.embedding_prefixes import prefixes_of
from ollama_nb.errors import NotText
from ollama_nb.frames.errors import BadColumns, UnknownColumn
from ollama_nb.frames.texts import texts_of
from ollama_nb.frames.vectors import kept_vectors

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    import pandas as pd


def similarity(frame: pd.DataFrame, /, a: Hashable, b: Hashable, **how: Any) -> pd.Series[Any]:
    """Compare two columns of texts, row by row.

    Parameters
    ----------
    a, b
        The names of the columns.
    how
        As for `s.llm.embed()`: model, dimensions, options, keep_alive, document_prefix.

    Returns
    -------
    pandas.Series
        float32, named `similarity`, with the index of the frame: the cosine of the two vectors, 1
        for equal texts; NaN where a text is missing.

    Examples
    --------
    >>> df.llm.similarity("question", "answer")  # doctest: +SKIP
    """
    for name in (a, b):
        if name not in frame.columns:
            raise UnknownColumn(str(name), list(map(str, frame.columns)))
    return similarity_to(frame[a], frame[b], **how)


def similarity_to(
    series: pd.Series[Any], /, other: pd.Series[Any] | str, **how: Any
) -> pd.Series[Any]:
    """Compare each text of a column with one text, or with that of another column in its row.

    Parameters
    ----------
    other
        A text, or a Series of texts with the same index.
    how
        As for `s.llm.embed()`: model, dimensions, options, keep_alive, document_prefix.

    Returns
    -------
    pandas.Series
        As for `df.llm.similarity()`.

    Raises
    ------
    NotText
        For a value that is no text.
    BadColumns
        If the other column has another index.

    Examples
    --------
    >>> df["review"].llm.similarity("The food was cold.")  # doctest: +SKIP
    """
    import numpy as np
    import pandas as pd

    texts = texts_of(series)
    others = _others(other, series)
    both = [pair if None not in pair else None for pair in zip(texts, others, strict=True)]
    values = np.full(len(both), np.nan, dtype=np.float32)
    asked = [pair for pair in both if pair is not None]
    places = [place for place, pair in enumerate(both) if pair is not None]
    if asked:
        values[places] = _cosines(asked, dict(how))
    found: pd.Series[Any] = pd.Series(values, index=series.index, name="similarity")
    return found


def _others(other: Any, series: pd.Series[Any]) -> list[str | None]:
    import pandas as pd

    if isinstance(other, str):
        return [other] * len(series)
    if not isinstance(other, pd.Series):
        raise NotText("what is compared with", other)
    if not other.index.equals(series.index):
        raise BadColumns("the two columns have different indexes: reset or align them first")
    return texts_of(other)


def _cosines(pairs: Sequence[tuple[Any, Any]], how: dict[str, Any]) -> Any:
    """Embed different texts once; vectors have length one."""
    import numpy as np

    different = list(dict.fromkeys(text for pair in pairs for text in pair))
    model = how.pop("model", None) or embedding_model()
    before = how.pop("document_prefix", None)
    before = prefixes_of(model).document if before is None else before
    vectors = kept_vectors([f"{before}{text}" for text in different], model=model, **how)
    where = {text: place for place, text in enumerate(different)}
    first = vectors[[where[a] for a, _ in pairs]]
    second = vectors[[where[b] for _, b in pairs]]
    return np.einsum("ij,ij->i", first, second)
