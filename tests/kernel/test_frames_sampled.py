"""`sample=`: a few rows tried by each verb, and how long all would take."""

from __future__ import annotations

import re

import pandas as pd
import pytest

import ollama_nb
import ollama_nb.frames
from ollama_nb.frames.errors import BadColumns
from ollama_nb.frames.sampling import Pace, Sample

ROWS = pd.DataFrame(
    {"a": [None, *(f"Tim saw {n} dogs." for n in range(10))], "even": ["x", *"xyxyxyxyxy"]},
    index=range(100, 111),
)
TRIED = [101, 103, 105, 107, 109]  # five of the ten that have something to ask
LEFT = r"(is|are) left, about [\d.]+ (s|min).* to "
SHORT = {"max_tokens": 8, "temperature": 0}


@pytest.fixture(autouse=True)
def _real(ollama_server):
    ollama_nb.connect(ollama_server.url)
    ollama_nb.settings.model = "demo"


def test_a_filter_tries_some_rows_and_the_next_one_the_others(capsys):
    ask = {"threshold": 0}

    few = ROWS.llm.filter("{{ a }}", sample=5, **ask)

    told = capsys.readouterr().err
    assert few.index.tolist() == TRIED
    assert re.search(rf"5 of 11 rows tried: 5 different prompts {LEFT}", told)
    assert len(ROWS.llm.filter("{{ a }}", **ask)) == 10
    assert "5 answered, 5 from the cache, 1 missing" in capsys.readouterr().err
    ROWS.llm.filter("{{ a }}", sample=5, **ask)
    assert "all of 11 rows are in the cache" in capsys.readouterr().err
    assert ROWS["a"].llm.filter("{{ text }}", sample=2, **ask).index.tolist() == [101, 106]


@pytest.mark.parametrize(("how", "left"), [({}, 5), ({"multi": True}, 10)])
def test_labels_are_given_to_some_rows_first(capsys, how, left):
    labels = ["happy", "sad"]

    few = ROWS.llm.classify("{{ a }}", labels, sample=5, **how)

    assert few.index.tolist() == TRIED
    assert few["happy"].notna().all()
    told = capsys.readouterr().err
    assert re.search(rf"5 of 11 rows tried: {left} different prompts {LEFT}", told)
    every = ROWS.llm.classify("{{ a }}", labels, **how)
    assert every["happy"].notna().sum() == 10


@pytest.mark.filterwarnings("ignore::ollama_nb.RowsFailed")  # so small a model may not end
def test_extract_tries_some_texts(capsys):
    found = ROWS.llm.extract("a", "who str|null", sample=5, options={"num_predict": 20})

    assert found.index.tolist() == TRIED
    assert list(found) == ["who", "who_start", "who_end"]
    assert re.search(rf"5 of 11 rows tried: 5 different prompts {LEFT}", capsys.readouterr().err)


def test_a_join_tries_the_pairs_of_some_rows(capsys):
    there = pd.DataFrame({"b": ["cats", "dogs", "hens"]})

    found = ROWS.llm.join(
        there, "{{ a }} {{ b }}", candidates=2, threshold=0, sample=5, embed_model="demo"
    )

    told = capsys.readouterr().err
    assert found["a"].drop_duplicates().tolist() == ROWS["a"].loc[TRIED].tolist()
    assert len(found) == 10
    assert re.search(rf"5 of 11 rows tried: 10 pairs {LEFT}", told)


def test_agg_tries_some_texts_or_some_groups(capsys):
    answer = ROWS["a"].llm.agg("Who?", sample=5, **SHORT)

    assert re.search(rf"5 of 10 rows tried: 1 question {LEFT}", capsys.readouterr().err)
    tried = "\n\n".join(ROWS["a"].loc[TRIED])
    alone = ollama_nb.generate(
        f"Who?\n\n{tried}", temperature=0, options={"num_predict": SHORT["max_tokens"]}
    )
    assert answer == alone.text.strip()

    groups = ROWS.llm.agg("Who?", "a", by="even", sample=1, **SHORT)

    assert groups.index.tolist() == ["x"]
    assert groups.notna().all()
    assert re.search(rf"1 of 2 groups tried: 1 question {LEFT}", capsys.readouterr().err)


@pytest.mark.parametrize("number", [0, -1, True, 2.5, "5"])
@pytest.mark.parametrize(
    "verb",
    [
        lambda number: ROWS.llm.filter("{{ a }}", sample=number),
        lambda number: ROWS.llm.classify("{{ a }}", ["x", "y"], sample=number),
        lambda number: ROWS.llm.extract("a", "who", sample=number),
        lambda number: ROWS.llm.agg("Who?", "a", sample=number, **SHORT),
        lambda number: ROWS.llm.join(
            pd.DataFrame({"b": ["x"]}), "{{ a }} {{ b }}", sample=number, candidates=None
        ),
    ],
    ids=["filter", "classify", "extract", "agg", "join"],
)
def test_a_sample_that_is_no_number_of_rows_is_told(verb, number):
    with pytest.raises(BadColumns, match="from 1"):
        verb(number)


def test_the_estimate_is_for_as_many_at_once_as_a_server_can_and_as_now():
    assert Pace(2.0, 5).of(40) == "about 6.0 s to 16 s"
    assert Pace(2.0, 50).of(40) == "about 6.0 s to 6.0 s"


def test_the_rows_of_a_sample_and_the_others_are_all():
    values = ["a", None, "b", "c", None, "d", "e"]

    few = Sample.of(values, 2)

    assert list(few.among(values)) == ["a", "c"]
    assert list(few.others(values)) == [None, "b", None, "d", "e"]
    assert Sample.of(values, None).among(values) == values
