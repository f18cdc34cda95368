"""`similar_to()`: the rows that are most like a text, of a column or of its vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ollama_nb.asking.embedding import embedding_model
from ollama_nb.asking.embedding_prefixes import prefixes_of
from ollama_nb.errors import NotText
from ollama_nb.frames.embedding import embed_column
from ollama_nb.frames.errors import BadColumns
from ollama_nb.frames.nearest import count, highest, unit_rows
from ollama_nb.frames.neighbouring import SIMILARITY
from ollama_nb.frames.vectors import kept_vectors

if TYPE_CHECKING:
    import pandas as pd


def similar_to(
    frame: pd.DataFrame,
    /,
    text: str,
    k: int = 10,
    *,
    model: str | None = None,
    query_prefix: str | None = None,
    **how: Any,
) -> pd.DataFrame:
    """Find the rows that are most like a text.

    Parameters
    ----------
    text
        What they are compared with.
    k
        How many at most.
    model
        The one that made the vectors. The frame remembers it, unless it was saved and read.
    query_prefix
        What stands before the text. The frame remembers it too; otherwise what the model was
        trained with.
    how
        As for `ollama_nb.embed()`: options, keep_alive.

    Returns
    -------
    pandas.DataFrame
        `similarity` (float32, the cosine), the most similar first, with the index labels of the
        rows: `df.loc[found.index]` are their texts. Rows without a vector are not found.

    Examples
    --------
    >>> vectors = df["review"].llm.embed()  # doctest: +SKIP
    >>> vectors.llm.similar_to("The food was cold.", k=3)  # doctest: +SKIP
    """
    import numpy as np
    import pandas as pd

    vectors = unit_rows(frame)
    cosines = np.nan_to_num(
        vectors @ _vector_of(frame, text, model, query_prefix, how), nan=-np.inf
    )
    best = highest(cosines[None, :], count(k))[0]
    best = best[np.isfinite(cosines[best])]
    values = cosines[best].astype(np.float32)
    found: pd.DataFrame = pd.DataFrame({SIMILARITY: values}, index=frame.index[best])
    return found


def similar_texts(series: pd.Series[Any], /, text: str, k: int = 10, **how: Any) -> pd.DataFrame:
    """Find the texts of a column that are most like a text.

    Parameters
    ----------
    text, k
        As for `similar_to()` of vectors.
    how
        As for `s.llm.embed()`: model, dimensions, options, keep_alive, document_prefix and
        query_prefix.

    Returns
    -------
    pandas.DataFrame
        The texts, in a column of their name (`text` without one), and `similarity`, with their
        index labels, the most similar first. Missing texts are not found.

    Examples
    --------
    >>> df["review"].llm.similar_to("The food was cold.", k=3)  # doctest: +SKIP
    """
    import pandas as pd

    _refuse_other_than_text(text)
    count(k)
    numbered: pd.Series[Any] = pd.Series(series.array, dtype=series.dtype)
    vectors = embed_column(numbered, **how)
    keep = {name: value for name, value in how.items() if name in ("options", "keep_alive")}
    found = similar_to(vectors, text, k, **keep) if vectors.shape[1] else _nothing()
    texts = series.iloc[found.index.to_numpy(dtype=int)]
    name = "text" if series.name is None else series.name
    columns = {name: texts, SIMILARITY: found[SIMILARITY].to_numpy()}
    frame: pd.DataFrame = pd.DataFrame(columns, index=texts.index)
    return frame


def _vector_of(
    frame: pd.DataFrame, text: str, model: str | None, prefix: str | None, how: dict[str, Any]
) -> Any:
    """Embed a text as the frame's texts were.

    Raises
    ------
    BadColumns
        If another model made the frame.
    """
    _refuse_other_than_text(text)
    made_by = frame.attrs
    named = model or made_by.get("model") or embedding_model()
    dimensions = how.pop("dimensions", None) or made_by.get("dimensions")
    if prefix is None:
        is_told = "query_prefix" in made_by and named == made_by.get("model")
        prefix = made_by["query_prefix"] if is_told else prefixes_of(named).query
    vector = kept_vectors([f"{prefix}{text}"], model=named, dimensions=dimensions, **how)[0]
    if len(vector) != frame.shape[1]:
        raise BadColumns(
            f"the vectors have {frame.shape[1]} numbers and those of {named!r} have {len(vector)}: "
            "name the model that made them, model=..."
        )
    return vector


def _refuse_other_than_text(text: object) -> None:
    if not isinstance(text, str):
        raise NotText("what is compared with", text)


def _nothing() -> pd.DataFrame:
    import pandas as pd

    none: pd.DataFrame = pd.DataFrame({SIMILARITY: []}, index=pd.RangeIndex(0), dtype="float32")
    return none
