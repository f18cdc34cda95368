"""`s.llm.embed()`: a vector of each text, missing where the text is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ollama_nb.asking.embedding import embedding_model
from ollama_nb.asking.embedding_prefixes import prefixes_of
from ollama_nb.frames.prompts import prompt_texts
from ollama_nb.frames.texts import texts_of
from ollama_nb.frames.vectors import kept_vectors

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd


def embed_rows(frame: pd.DataFrame, /, template: str, **how: Any) -> pd.DataFrame:
    """Turn each row into a vector of length one.

    Parameters
    ----------
    template
        The text of a row, as for `df.llm.generate()`: `"{{ title }}: {{ body }}"`.
    how
        As for `ollama_nb.embed()`: model, dimensions, options, keep_alive. `document_prefix` is
        what stands before each text, and `query_prefix` before a text that `similar_to()` looks
        for; those that the model was trained with unless they are given, "" for none.

    Returns
    -------
    pandas.DataFrame
        Columns 0, 1, ... of float32, one row for each, with its index; NaN where a column of the
        template is missing.

    Examples
    --------
    >>> df.llm.embed("{{ title }}: {{ body }}")  # doctest: +SKIP
    """
    return embedded(prompt_texts(frame, template), frame.index, **how)


def embed_column(series: pd.Series[Any], /, **how: Any) -> pd.DataFrame:
    """Turn each text of a column into a vector of length one.

    Parameters
    ----------
    how
        As for `ollama_nb.embed()`: model, dimensions, options, keep_alive. `document_prefix` is
        what stands before each text, and `query_prefix` before a text that `similar_to()` looks
        for; those that the model was trained with unless they are given, "" for none.

    Returns
    -------
    pandas.DataFrame
        Columns 0, 1, ... of float32, one row for each, with its index; NaN where it is missing.

    Raises
    ------
    NotText
        For a value that is no text.

    Examples
    --------
    >>> df["review"].llm.embed()  # doctest: +SKIP
    """
    return embedded(texts_of(series), series.index, **how)


def embedded(
    texts: Sequence[str | None],
    index: pd.Index[Any],
    *,
    model: str | None = None,
    document_prefix: str | None = None,
    query_prefix: str | None = None,
    **how: Any,
) -> pd.DataFrame:
    """Embed different texts once, new ones only, and put the vectors into the rows.

    The frame's `attrs` tell the model, and what belongs before a text that is compared with it.
    """
    import numpy as np
    import pandas as pd

    model = model or embedding_model()
    different = list(dict.fromkeys(text for text in texts if text is not None))
    told = {"model": model, "dimensions": how.get("dimensions")}
    before = ""
    if different:
        known = prefixes_of(model)
        before = known.document if document_prefix is None else document_prefix
        told["query_prefix"] = known.query if query_prefix is None else query_prefix
    vectors = kept_vectors([f"{before}{text}" for text in different], model=model, **how)
    places = {text: place for place, text in enumerate(different)}
    block = np.full((len(texts), vectors.shape[1]), np.nan, dtype=np.float32)
    for row, text in enumerate(texts):
        if text is not None:
            block[row] = vectors[places[text]]
    frame: pd.DataFrame = pd.DataFrame(block, index=index)
    frame.attrs |= told
    return frame
