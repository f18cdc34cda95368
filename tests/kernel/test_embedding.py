from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import ollama_nb
from ollama_nb.asking import embedding
from ollama_nb.errors import NotText, ServerWarning


def test_one_row_a_text_of_float32(connected):
    frame = ollama_nb.embed(["a", "bbb"])

    assert frame.shape == (2, 3)
    assert set(frame.dtypes) == {np.dtype("float32")}
    assert frame[0].tolist() == [1.0, 3.0]
    assert frame.columns.tolist() == [0, 1, 2]


def test_a_single_text_is_one_row(connected):
    assert ollama_nb.embed("hello").shape == (1, 3)


def test_what_the_server_warns_of_is_shown(connected):
    connected.warning = "1 of the texts were cut at their ends"

    with pytest.warns(ServerWarning, match="cut at their ends") as caught:
        ollama_nb.embed(["a", "b"])

    assert caught[0].filename == "ollama_nb"  # which shows no line of a source


DATES = pd.to_datetime(["2026-01-01", "2026-01-02"])


@pytest.mark.parametrize("index", [["x", "y"], [7, 7], DATES])
def test_a_series_keeps_its_index(connected, index):
    series = pd.Series(["a", "bb"], index=index)

    assert ollama_nb.embed(series).index.equals(series.index)


@pytest.mark.parametrize("dtype", ["object", "string", "str"])
def test_every_kind_of_string_column(connected, dtype):
    assert ollama_nb.embed(pd.Series(["a", "bb"], dtype=dtype)).shape == (2, 3)


def test_no_text_gives_an_empty_frame(connected):
    assert ollama_nb.embed([]).shape == (0, 0)
    assert ollama_nb.embed(pd.Series([], dtype=object)).index.equals(pd.Series([]).index)


def test_many_texts_are_one_call_in_batches_and_keep_their_order(connected, monkeypatch):
    monkeypatch.setattr(embedding, "BATCH_TEXTS", 4)
    texts = ["x" * length for length in range(10)]

    frame = ollama_nb.embed(texts, model="other")

    assert frame[0].tolist() == list(map(float, range(10)))
    assert [len(body["input"]) for body in connected.requests] == [4, 4, 2]
    assert len(ollama_nb.stats()) == 1


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NA, 3])
def test_a_value_that_is_no_text_is_named(connected, missing):
    with pytest.raises(NotText, match="the text at 'row'"):
        ollama_nb.embed(pd.Series(["a", missing], index=["first", "row"], dtype=object))


def test_the_input_is_unchanged(connected):
    series = pd.Series(["a", "bb"])
    before = series.copy()

    ollama_nb.embed(series)

    pd.testing.assert_series_equal(series, before)
