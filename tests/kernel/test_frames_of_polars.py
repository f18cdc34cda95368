from __future__ import annotations

import pandas as pd
import pytest

import ollama_nb.frames
from ollama_nb.frames.errors import RowsFailed

pl = pytest.importorskip("polars", reason="polars is not installed")


@pytest.fixture(autouse=True)
def _other_model(connected):
    ollama_nb.settings.model = "other"


def test_a_frame_of_polars_has_the_same_verbs():
    frame = pl.DataFrame({"name": ["Ada", None], "age": [36, 4]})

    answers = frame.llm.generate("{{ name }} is {{ age }}")

    assert isinstance(answers, pl.Series)
    assert answers.to_list() == ["Ada is 36", None]
    assert answers.dtype == pl.String


def test_columns_are_typed_and_stand_beside_the_others():
    frame = pl.DataFrame({"a": ['{"n": 1, "ok": true, "at": "2026-01-02"}', None], "b": [1, 2]})

    together = frame.llm.generate(
        "{{ a }}", schema="n int, ok bool, at date", into=["n", "ok", "at"], details=True
    )

    assert together.schema == {
        "a": pl.String,
        "b": pl.Int64,
        "n": pl.Int64,
        "ok": pl.Boolean,
        "at": pl.Datetime("us"),
        "_error": pl.String,
        "_tokens": pl.Int64,
        "_seconds": pl.Float64,
    }
    assert together["n"].to_list() == [1, None]


def test_a_column_of_polars():
    series = pl.Series("review", ["a", "break"])

    with pytest.warns(RowsFailed):
        assert series.llm.generate("{{ review }}").to_list() == ["a", None]
    assert series.llm.embed().shape == (2, 3)
    assert series.llm.embed().dtypes == [pl.Float32] * 3


def test_lists_stay_lists():
    answers = pl.Series(['["a"]', "[]"]).llm.generate(schema="[str]")

    assert answers["answer"].to_list() == [["a"], []]


def test_the_help_is_the_same():
    assert pl.DataFrame().llm.generate.__doc__ == pd.DataFrame().llm.generate.__doc__
