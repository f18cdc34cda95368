"""Puts the accessors onto the frames and columns of pandas and, if a notebook has it, of polars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ollama_nb.frames.accessor import LlmFrame, LlmSeries
from ollama_nb.frames.other_frames import in_pandas
from ollama_nb.importing import when_imported

if TYPE_CHECKING:
    from types import ModuleType

NAME = "llm"


def register() -> None:
    """Register `llm` with pandas, and with polars as soon as that is imported."""
    import pandas as pd

    _withdraw_stand_ins(pd)
    pd.api.extensions.register_dataframe_accessor(NAME)(LlmFrame)
    pd.api.extensions.register_series_accessor(NAME)(LlmSeries)
    when_imported("polars", _register_in_polars)


def _register_in_polars(polars: ModuleType) -> None:
    _withdraw_stand_ins(polars)
    polars.api.register_dataframe_namespace(NAME)(in_pandas(LlmFrame))
    polars.api.register_series_namespace(NAME)(in_pandas(LlmSeries))


def _withdraw_stand_ins(module: Any) -> None:
    """Take off what `%load_ext` has put there: a library warns of a name that is taken."""
    for kind in (module.DataFrame, module.Series):
        if getattr(vars(kind).get(NAME), "stands_in", False):
            delattr(kind, NAME)
