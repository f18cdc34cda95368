"""The accessors: each method is a function of this room, with the frame as its first argument."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from ollama_nb.frames import (
    aggregating,
    classifying,
    clustering,
    comparing,
    counting,
    embedding,
    extracting,
    filtering,
    generating,
    joining,
    neighbouring,
    plotting,
    projecting,
    searching,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

P = ParamSpec("P")
R = TypeVar("R")


def _method(verb: Callable[Concatenate[Any, P], R]) -> Callable[Concatenate[Any, P], R]:
    """Make a method of a function: its help and its arguments are the function's."""

    @functools.wraps(verb)
    def method(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return verb(self._obj, *args, **kwargs)

    return method


class LlmFrame:
    """Models at work on the rows of a DataFrame, as `df.llm`."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self._obj = frame

    generate = _method(generating.generate)
    classify = _method(classifying.classify)
    filter = _method(filtering.filter)
    extract = _method(extracting.extract)
    similarity = _method(comparing.similarity)
    agg = _method(aggregating.agg)
    join = _method(joining.join)
    count_tokens = _method(counting.count_tokens)
    embed = _method(embedding.embed_rows)
    similar_to = _method(searching.similar_to)
    neighbors = _method(neighbouring.neighbors)
    pairwise = _method(neighbouring.pairwise)
    duplicates = _method(neighbouring.duplicates)
    outliers = _method(neighbouring.outliers)
    cluster = _method(clustering.cluster)
    project = _method(projecting.project)
    plot = _method(plotting.plot)


class LlmSeries:
    """Models at work on a column, as `s.llm`."""

    def __init__(self, series: pd.Series[Any]) -> None:
        self._obj = series

    generate = _method(generating.generate_column)
    classify = _method(classifying.classify_column)
    filter = _method(filtering.filter_column)
    extract = _method(extracting.extract_column)
    similarity = _method(comparing.similarity_to)
    agg = _method(aggregating.agg_column)
    count_tokens = _method(counting.count_column)
    embed = _method(embedding.embed_column)
    similar_to = _method(searching.similar_texts)
    cluster = _method(clustering.cluster_texts)
    project = _method(projecting.project_texts)
    plot = _method(plotting.plot_texts)
