"""`extract` and `similarity`: what stands in a text, and how much alike two are."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pandas as pd
import pytest

import ollama_nb
import ollama_nb.frames
from ollama_nb.answers.schemas import wanted
from ollama_nb.errors import BadSchema, NotText
from ollama_nb.frames.errors import BadColumns, RowsFailed, UnknownColumn
from ollama_nb.frames.spans import has_spans, span_of

TEXT = "Ann paid 1,200.50 for 36 cups,\n and  Tim-Bob (4) 3.0 for Green   Tea."


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("Ann", "Ann"),
        ("ann", "Ann"),
        ("green tea", "Green   Tea"),
        ("Tim-Bob", "Tim-Bob"),
        ("(4)", "(4)"),
        (1200.5, "1,200.50"),
        (36, "36"),
        (36.0, "36"),
        (3, "3.0"),
        (4, "4"),
        ("An", None),
        ("aid", None),
        ("cup", None),
        (6, None),
        (200, None),
        (1200, None),
        ("coffee", None),
        ("", None),
        (1e300, None),
    ],
)
def test_a_value_is_found_word_for_word_or_not_at_all(value, found):
    span = span_of(value, TEXT)

    assert (None if span is None else TEXT[slice(*span)]) == found


def test_a_value_s_own_spelling_is_looked_for_first():
    assert span_of("Ann", "ann met Ann") == (8, 11)


@pytest.mark.parametrize(
    ("field", "has"),
    [
        ("x", True),
        ("x int", True),
        ("x float|null", True),
        ("x [str]", True),
        ("x bool", False),
        ("x good|bad", False),
        ("x date", False),
    ],
)
def test_choices_and_dates_are_not_literal(field, has):
    definition = wanted(field, None).definition

    assert has_spans(definition["properties"]["x"], definition) == has


def test_a_field_that_is_defined_elsewhere_is_looked_up():
    root = {"$defs": {"Name": {"type": "string"}}}

    assert has_spans({"$ref": "#/$defs/Name"}, root)
    assert not has_spans({"$ref": "#/$defs/Mood"}, {"$defs": {"Mood": {"enum": ["good"]}}})


def test_values_that_stand_in_the_text_have_their_place_and_others_are_gone(connected):
    texts = pd.Series(["Ann is 36, kind.", None, "Tim ran."], index=["a", "b", "b"])
    ollama_nb.settings.model = "other"
    first = {"name": "ann", "age": 36, "mood": "good", "words": ["kind", "mean"]}
    second = {"name": "Bob", "age": None, "mood": "bad", "words": []}
    connected.says = {"Ann is": json.dumps(first), "Tim ran": json.dumps(second)}

    found = texts.llm.extract("name str|null, age int|null, mood good|bad, words [str]")

    assert list(found) == [
        *("name", "name_start", "name_end", "age", "age_start", "age_end"),
        *("mood", "words", "words_spans"),
    ]
    assert found.index.equals(texts.index)
    assert found["name"].tolist() == ["Ann", pd.NA, pd.NA]
    assert found["age"].tolist() == [36, pd.NA, pd.NA]
    assert (found["name"].dtype, found["age"].dtype) == ("string", "Int64")
    assert found["age_start"].tolist() == [7, pd.NA, pd.NA]
    assert found["age_end"].dtype == "Int64"
    assert found["mood"].tolist() == ["good", pd.NA, "bad"]
    assert found["words"].iloc[0] == ["kind"]
    assert found["words_spans"].iloc[0] == [(11, 15)]
    plain = texts.llm.extract(
        "name str|null, age int|null, mood good|bad, words [str]", spans=False
    )
    assert list(plain) == ["name", "age", "mood", "words"]


def test_a_real_model_s_values_are_parts_of_their_texts(ollama_server):
    ollama_nb.connect(ollama_server.url)
    texts = pd.Series(["Tim saw a big dog.", "Lily had 3 red balls.", None])

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RowsFailed)  # so small a model does not always end
        found = pd.DataFrame({"t": texts}).llm.extract(
            "t",
            "name str|null, number int|null",
            model="demo",
            details=True,
            progress=False,
            options={"num_predict": 100, "seed": 1},
        )

    assert pd.isna(found["_error"].iloc[2])
    for field in ("name", "number"):
        told = found[found[field].notna()]
        for place, row in told.iterrows():
            part = texts[place][row[f"{field}_start"] : row[f"{field}_end"]]
            assert part == str(row[field])


@pytest.mark.parametrize("schema", ["[str]", {"type": "object"}])
def test_a_schema_without_fields_extracts_nothing(connected, schema):
    with pytest.raises(BadSchema, match="an object with fields"):
        pd.Series(["a"]).llm.extract(schema)


def test_a_column_that_is_not_there_is_told(connected):
    with pytest.raises(UnknownColumn, match="did you mean 'body'"):
        pd.DataFrame({"body": ["a"]}).llm.extract("bodi", "name")


def test_the_prompt_names_the_fields_and_holds_the_text_literally(connected):
    ollama_nb.settings.model = "other"

    connected.says = {"Find": '{"name": "a"}'}

    pd.Series(["a {{ b }} c"]).llm.extract("name", instruction="Find {{ it }}.", progress=False)

    assert connected.requests[-1]["prompt"] == "Find {{ it }}.\n\nText:\na {{ b }} c"
    pd.Series(["Find"]).llm.extract("name, age int|null", progress=False)
    assert "these fields from the text: name, age." in connected.requests[-1]["prompt"]
    assert connected.requests[-1]["options"] == {"temperature": 0}
    pd.Series(["Find"]).llm.extract("name", temperature=0.5, progress=False)
    assert connected.requests[-1]["options"] == {"temperature": 0.5}


# --- similarity -----------------------------------------------------------------------------------


def test_similarity_is_the_cosine_of_two_columns(ollama_server):
    ollama_nb.connect(ollama_server.url)
    frame = pd.DataFrame(
        {"a": ["a cat", "a cat", None], "b": ["a cat", "the moon", "x"]}, index=[5, 5, 1]
    )

    found = frame.llm.similarity("a", "b", model="demo")

    vectors = ollama_nb.embed(["a cat", "the moon"], model="demo").to_numpy()
    assert found.index.equals(frame.index)
    assert (found.dtype, found.name) == (np.float32, "similarity")
    assert found.tolist()[:2] == pytest.approx([1, float(vectors[0] @ vectors[1])], abs=1e-5)
    assert np.isnan(found.iloc[2])
    assert frame["a"].llm.similarity("a cat", model="demo").iloc[0] == pytest.approx(1, abs=1e-5)


def test_texts_are_compared_by_the_model_and_in_the_dimensions_that_are_named(connected):
    connected.models = ["first", "second"]

    pd.Series(["a"]).llm.similarity("b", model="second", dimensions=2)

    sent = connected.requests[-1]
    assert (sent["model"], sent["dimensions"], sent["input"]) == ("second", 2, ["a", "b"])


def test_what_cannot_be_compared_is_told(connected):
    series = pd.Series(["a"])

    with pytest.raises(BadColumns, match="different indexes"):
        series.llm.similarity(pd.Series(["a"], index=[7]))
    with pytest.raises(NotText):
        series.llm.similarity(5)
    with pytest.raises(UnknownColumn):
        pd.DataFrame({"a": ["x"]}).llm.similarity("a", "b")
