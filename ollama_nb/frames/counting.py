"""`s.llm.count_tokens()`: how long texts are for a model, which is what contexts are counted in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ollama_nb.connection.calling import asked, once_more
from ollama_nb.connection.current import current
from ollama_nb.connection.failures import translated
from ollama_nb.frames.errors import NoTokenCounts
from ollama_nb.frames.prompts import prompt_texts
from ollama_nb.frames.texts import texts_of
from ollama_nb.managing.catalogue import default_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

TEXTS_A_REQUEST = 256  # few enough that Ctrl-C between requests is prompt


def count_tokens(frame: pd.DataFrame, template: str, *, model: str | None = None) -> pd.Series[Any]:
    """Count the tokens of each row's prompt, without the model's own template around it.

    Parameters
    ----------
    template
        As for `df.llm.generate()`.
    model
        Whose tokens; default as for `ollama_nb.generate()`.

    Returns
    -------
    pandas.Series
        Int64, named `tokens`, with the index of the frame; missing where a column is missing.

    Raises
    ------
    NoTokenCounts
        If the server does not count tokens, as Ollama does not.

    Examples
    --------
    >>> df.llm.count_tokens("Summarise: {{ text }}").max()  # doctest: +SKIP
    """
    return _counted(prompt_texts(frame, template), default_model(model), frame.index)


def count_column(series: pd.Series[Any], *, model: str | None = None) -> pd.Series[Any]:
    """Count the tokens of each text of a column.

    Parameters
    ----------
    model
        Whose tokens; default as for `ollama_nb.generate()`.

    Returns
    -------
    pandas.Series
        Int64, named `tokens`, with the index of the column; missing where a text is missing.

    Raises
    ------
    NotText
        For a value that is no text.
    NoTokenCounts
        If the server does not count tokens, as Ollama does not.

    Examples
    --------
    >>> df["review"].llm.count_tokens().sum()  # doctest: +SKIP
    """
    return _counted(texts_of(series), default_model(model), series.index)


def _counted(texts: Sequence[str | None], model: str, index: pd.Index[Any]) -> pd.Series[Any]:
    import pandas as pd

    different = list(dict.fromkeys(text for text in texts if text is not None))
    counts: dict[str, int] = {}
    for begin in range(0, len(different), TEXTS_A_REQUEST):
        some = different[begin : begin + TEXTS_A_REQUEST]
        counts |= zip(some, token_counts(some, model), strict=True)
    values = [None if text is None else counts[text] for text in texts]
    counted: pd.Series[Any] = pd.Series(pd.array(values, dtype="Int64"), index=index, name="tokens")
    return counted


def token_counts(texts: Sequence[str], model: str) -> list[int]:
    """Ask for the counts of some texts; a server that died since is looked for once more.

    Raises
    ------
    NoTokenCounts
        If the server has no such route.
    """
    return once_more(lambda: _asked(texts, model))


def _asked(texts: Sequence[str], model: str) -> list[int]:
    import ollama

    connection = current()
    with translated(connection, model):
        try:
            body = {"model": model, "texts": list(texts)}
            answer = asked(connection, "/api/tokenize", body)
        except ollama.ResponseError as error:
            if error.status_code in (404, 405) and "model" not in error.error:
                raise NoTokenCounts(connection.url) from None
            raise
        return [int(result["count"]) for result in answer["results"]]
