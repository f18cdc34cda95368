"""`embed()`: texts in, a DataFrame of vectors out.

Calls and errors are `connection`'s; what is done with the vectors is pandas' and numpy's.
"""

from __future__ import annotations

import sys
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Literal

from ollama_nb.answers import statistics
from ollama_nb.answers.call_stats import CallStats
from ollama_nb.asking.embedding_prefixes import NOTHING, prefixes_of
from ollama_nb.connection.calling import asked, once_more
from ollama_nb.connection.current import current
from ollama_nb.connection.failures import translated
from ollama_nb.connection.options import checked
from ollama_nb.connection.preferences import settings
from ollama_nb.display.cell import running_cell
from ollama_nb.errors import NotText, ServerWarning
from ollama_nb.managing.catalogue import default_model, names
from ollama_nb.warning import warn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import pandas as pd

BATCH_TEXTS = 64  # few enough that Ctrl-C between batches is prompt, enough to fill a batch

_told: set[str] = set()  # models that a reader has been told of


def embed(
    texts: str | Iterable[str],
    *,
    model: str | None = None,
    dimensions: int | None = None,
    purpose: Literal["query", "document"] | None = None,
    options: Mapping[str, Any] | None = None,
    keep_alive: float | str | None = None,
) -> pd.DataFrame:
    """Turn texts into vectors of length one, so that a dot product is the cosine similarity.

    Parameters
    ----------
    texts
        A text, a list of texts or a Series of texts.
    model
        Default as for `generate()`, but a model made for embedding before all others; which one it
        is, is told once where the server has several. A chat model gives the mean of its hidden
        states.
    dimensions
        Keep only so many numbers of each vector (renormalised), for models trained for that.
    purpose
        "query" or "document" puts before each text what the model was trained to find there
        (docs/embeddings.md); without it texts are embedded as they are.
    options, keep_alive
        As for `generate()`.

    Returns
    -------
    pandas.DataFrame
        One row a text, columns 0, 1, ... of float32. A Series keeps its index; other texts are
        counted from 0. No text gives no column. `attrs["model"]` names the model, and
        `attrs["query_prefix"]` tells what belongs before a question to these texts.

    Raises
    ------
    NotText
        For a value that is not a text; missing values (NA) too: drop or fill them first.
    BadPurpose
        For a purpose that there is not.
    OllamaNbError
        When there is no server, no such model, or no answer.

    Examples
    --------
    >>> vectors = embed(["a cat", "a kitten", "a train"])  # doctest: +SKIP
    >>> vectors @ vectors.T  # doctest: +SKIP
    """
    import pandas as pd

    _refuse_what_is_no_column(texts)
    column = pd.Series([texts] if isinstance(texts, str) else texts, dtype=object)
    values = _as_texts(column)
    chosen = model or embedding_model()
    prefixes = NOTHING if purpose is None else prefixes_of(chosen)
    before = "" if purpose is None else prefixes.of(purpose)
    fields = embed_fields(chosen, dimensions, options, keep_alive)
    rows = vectors_of([f"{before}{value}" for value in values], fields)
    frame: pd.DataFrame = pd.DataFrame(rows, index=column.index, dtype="float32")
    frame.attrs |= {"model": chosen, "query_prefix": prefixes.query}
    return frame


def embed_fields(
    model: str,
    dimensions: int | None = None,
    options: Mapping[str, Any] | None = None,
    keep_alive: float | str | None = None,
) -> dict[str, Any]:
    """Return the fields of a request, beside the texts.

    Raises
    ------
    UnknownOption, BadValue
    """
    return {
        "model": model,
        "dimensions": dimensions,
        "options": checked(options or {}),
        "keep_alive": keep_alive,
    }


def embedding_model() -> str:
    """Return the model to embed with, and tell it once: vectors of two models do not compare."""
    model = default_model(can="embedding")
    if model not in _told and model != settings.model and len(names()) > 1:
        _told.add(model)
        sys.stderr.write(f"embed() uses {model}; model= takes another.\n")
    return model


def _refuse_what_is_no_column(texts: Any) -> None:
    if texts is None or hasattr(texts, "columns"):
        raise NotText(
            "texts", texts, 'embed() takes a text, a list of texts or a column, df["text"]'
        )


def _as_texts(column: pd.Series) -> list[str]:
    for label, value in column.items():
        if not isinstance(value, str):
            raise NotText(f"the text at {label!r}", value)
    return [str(value) for value in column]


def vectors_of(
    texts: Sequence[str],
    fields: Mapping[str, Any],
    on_vectors: Callable[[int, Any], object] = lambda *_: None,
) -> Any:
    """Embed in batches and stack the vectors; the whole is one call in the statistics.

    `on_vectors` gets those of a batch as soon as they are there, and the place of its first text.
    """
    import numpy as np

    started_at, start_s = datetime.now(timezone.utc), time.perf_counter()
    parts: list[Mapping[str, Any]] = []
    blocks: list[Any] = []
    done_reason: str | None = "error"
    try:
        for begin in range(0, len(texts), BATCH_TEXTS):
            parts.append(_one_batch(texts[begin : begin + BATCH_TEXTS], fields))
            blocks.append(np.asarray(parts[-1]["embeddings"], dtype=np.float32))
            on_vectors(begin, blocks[-1])
        done_reason = None  # an embedding is not cut short
    except KeyboardInterrupt:
        done_reason = "interrupted"
        raise
    finally:
        elapsed_s = time.perf_counter() - start_s
        stats = CallStats.from_wire(_summed(parts), started_at=started_at, elapsed_s=elapsed_s)
        statistics.record("embed", fields["model"], done_reason, stats, running_cell())
    return np.concatenate(blocks) if blocks else np.empty((0, 0), dtype=np.float32)


def _one_batch(texts: Sequence[str], fields: Mapping[str, Any]) -> dict[str, Any]:
    """Send one batch; a server that died since the last call is looked for once more."""
    return once_more(lambda: _send(texts, fields))


def _send(texts: Sequence[str], fields: Mapping[str, Any]) -> dict[str, Any]:
    import ollama

    connection = current()
    given = {name: value for name, value in fields.items() if value is not None}
    with translated(connection, fields["model"]):
        answer = asked(connection, "/api/embed", {"input": list(texts), **given})
        embedded = ollama.EmbedResponse.model_validate(answer)
    for warning in connection.warnings:  # of a text that was cut, of an option without effect
        warn(warning, ServerWarning)
    return {**embedded.model_dump(), "nb": answer.get("nb") or {}}


def _summed(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Add up counts and durations of the batches; what no batch reports stays out."""
    names = ("total_duration", "load_duration", "prompt_eval_count")
    sums: dict[str, Any] = {
        name: sum(part[name] or 0 for part in parts)
        for name in names
        if any(part.get(name) for part in parts)
    }
    told: dict[str, float] = {}
    for part in parts:
        for name in ("truncated_tokens", "queue_s", "load_s", "prompt_s"):
            if name in part["nb"]:
                told[name] = told.get(name, 0) + part["nb"][name]
    return sums | ({"nb": told} if told else {})
