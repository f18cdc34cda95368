"""Puts the accessors onto the frames and columns of pandas and, if a notebook has it, of polars."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ollama_nb.frames.accessor import LlmFrame, LlmSeries
from ollama_nb.frames.other_frames import in_pandas
from ollama_nb.importing import when_imported

if TYPE_CHECKING:
    from types import ModuleType

NAME = "llm"


def register() -> None:
    """Register `llm` with pandas, and with polars as soon as that is imported.

    Both libraries look first whether the name is taken; where `%load_ext` has put its announcement,
    that look withdraws it.
    """
    import pandas as pd

    pd.api.extensions.register_dataframe_accessor(NAME)(LlmFrame)
    pd.api.extensions.register_series_accessor(NAME)(LlmSeries)
    when_imported("polars", _register_in_polars)


def _register_in_polars(polars: ModuleType) -> None:
    polars.api.register_dataframe_namespace(NAME)(in_pandas(LlmFrame))
    polars.api.register_series_namespace(NAME)(in_pandas(LlmSeries))
