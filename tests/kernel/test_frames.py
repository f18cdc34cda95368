"""`df.llm` on a server that answers with the words of the prompt, so that each answer is known."""

from __future__ import annotations

import os
import signal
import warnings

import numpy as np
import pandas as pd
import pytest

import ollama_nb.frames
from ollama_nb.asking.streaming import Arriving
from ollama_nb.errors import (
    BadSchema,
    BadTemplate,
    ModelNotFound,
    NotText,
    OllamaNbError,
    UnknownOption,
)
from ollama_nb.frames import running
from ollama_nb.frames.errors import (
    BadColumns,
    NoColumn,
    NoTokenCounts,
    RowsFailed,
    UnknownColumn,
)

INDEXES = {
    "letters": ["x", "y", "z"],
    "doubled": [7, 7, 8],
    "dates": pd.date_range("2026-01-01", periods=3),
    "levels": pd.MultiIndex.from_tuples([("a", 1), ("a", 2), ("b", 1)]),
}


@pytest.fixture(autouse=True)
def _quiet(connected):
    """The model is the one of the other server."""
    connected.models = ["other"]
    ollama_nb.settings.model = "other"


def _asked(server):
    return [body["prompt"] for body in server.requests]


def test_a_row_is_a_prompt_and_an_answer():
    frame = pd.DataFrame({"name": ["Ada", "Tim"], "age": [36, 4]})

    answers = frame.llm.generate("{{ name }} is {{ age }}")

    expected = pd.Series(["Ada is 36", "Tim is 4"], dtype="string", name="answer")
    pd.testing.assert_series_equal(answers, expected)


@pytest.mark.parametrize("kind", INDEXES)
def test_the_index_is_kept_and_the_input_unchanged(kind):
    frame = pd.DataFrame({"a": ["1", None, "3"]}, index=INDEXES[kind])
    before = frame.copy(deep=True)

    answers = frame.llm.generate("{{ a }}")
    together = frame.llm.generate("{{ a }}", into="b")

    assert answers.index.equals(frame.index)
    assert together.index.equals(frame.index)
    assert together["b"].tolist() == ["1", pd.NA, "3"]
    pd.testing.assert_frame_equal(frame, before)


@pytest.mark.parametrize("dtype", ["object", "string", "str", "category"])
@pytest.mark.parametrize("missing", [None, np.nan, pd.NA], ids=str)
def test_what_is_missing_is_not_asked_and_stays_missing(connected, dtype, missing):
    series = pd.Series(["a", missing, "b"], dtype=dtype)

    answers = series.llm.generate("say {{ text }}")

    assert answers.tolist() == ["say a", pd.NA, "say b"]
    assert sorted(_asked(connected)) == ["say a", "say b"]


@pytest.mark.parametrize(
    "frame",
    [pd.DataFrame({"a": []}), pd.DataFrame({"a": [None, None]}, index=["x", "y"])],
    ids=["no row", "nothing in them"],
)
def test_a_frame_without_anything_to_ask_has_answers_of_its_length(connected, frame):
    assert frame.llm.generate("{{ a }}").index.equals(frame.index)
    assert frame.llm.generate("{{ a }}", schema="n int").dtypes.to_dict() == {"n": "Int64"}
    assert connected.requests == []


def test_a_column_is_the_text_or_its_own_name_or_the_prompt_itself():
    reviews = pd.Series(["good", "bad"], name="review")

    assert reviews.llm.generate().tolist() == ["good", "bad"]
    assert reviews.llm.generate("so {{ text }}").tolist() == ["so good", "so bad"]
    assert reviews.llm.generate("so {{ review }}", into="said").name == "said"


def test_columns_with_other_names_are_written_with_underscores():
    frame = pd.DataFrame([["a", "b"]], columns=["first name", ("level", 2)])

    assert frame.llm.generate("{{ first_name }} {{ level_2 }}").tolist() == ["a b"]


def test_a_system_text_may_have_columns_too(connected):
    frame = pd.DataFrame({"q": ["a"], "who": ["a judge"]})

    frame.llm.generate("{{ q }}", system="You are {{ who }}.")

    assert connected.requests[0]["system"] == "You are a judge."


def test_equal_prompts_are_asked_once(connected):
    pd.DataFrame({"a": ["x", "y", "x"]}).llm.generate("{{ a }}")

    assert sorted(_asked(connected)) == ["x", "y"]


def test_run_again_only_the_rest_is_asked(connected):
    frame = pd.DataFrame({"a": ["1", "2", "3"]})
    frame.head(2).llm.generate("{{ a }}")
    connected.requests.clear()

    assert frame.llm.generate("{{ a }}").tolist() == ["1", "2", "3"]
    assert _asked(connected) == ["3"]


@pytest.mark.parametrize(
    "how",
    [{"seed": 1}, {"system": "s"}, {"schema": {"type": "string"}}, {"think": False}],
    ids=lambda how: next(iter(how)),
)
def test_asked_otherwise_all_are_asked(connected, how):
    frame = pd.DataFrame({"a": ['"1"', '"2"']})
    frame.llm.generate("{{ a }}")
    connected.requests.clear()

    frame.llm.generate("{{ a }}", **how)

    assert len(connected.requests) == 2


def test_fresh_asks_all_anew(connected):
    frame = pd.DataFrame({"a": ["1"]})

    frame.llm.generate("{{ a }}")
    frame.llm.generate("{{ a }}", fresh=True)

    assert _asked(connected) == ["1", "1"]


def test_ctrl_c_returns_the_frame_so_far_and_the_next_run_does_the_rest(
    connected, monkeypatch, capsys
):
    frame = pd.DataFrame({"a": ["1", "2", "hang", "4"]})
    shown, due = running.Bar.show, iter([signal.SIGINT])

    def show(bar):
        shown(bar)
        if bar.count.answered == 2:
            for number in due:
                signal.raise_signal(number)

    monkeypatch.setattr(running.Bar, "show", show)
    connected.ends = ""
    so_far = frame.llm.generate("{{ a }}", in_flight=1, details=True)

    assert so_far["answer"].tolist() == ["1", "2", pd.NA, pd.NA]
    assert so_far["_error"].str.split().str[0].tolist() == [pd.NA, pd.NA, "interrupted:", "not"]
    assert "2 answered" in capsys.readouterr().err
    connected.requests.clear()
    frame["a"] = ["1", "2", "3", "4"]
    assert frame.llm.generate("{{ a }}").tolist() == ["1", "2", "3", "4"]
    assert sorted(_asked(connected)) == ["3", "4"]


LONG = "slowly " + " ".join(map(str, range(500)))


def _stopped_after_three_words(monkeypatch, run):
    """What a run returns that is stopped in the middle of an answer."""
    add, due = Arriving.add, iter([signal.SIGINT])

    def interrupting(arriving, part):
        add(arriving, part)
        if len(arriving.text.split()) == 3:
            for number in due:
                os.kill(os.getpid(), number)

    with monkeypatch.context() as patched:
        patched.setattr(Arriving, "add", interrupting)
        return run()


def test_the_beginning_of_an_answer_is_returned_and_marked_and_never_kept(connected, monkeypatch):
    frame = pd.DataFrame({"a": ["1", LONG, "2"]})

    so_far = _stopped_after_three_words(
        monkeypatch, lambda: frame.llm.generate("{{ a }}", in_flight=1, details=True)
    )

    assert so_far["answer"].iloc[0].strip() == "1"
    assert so_far["answer"].iloc[1].startswith("slowly 0 1")
    assert pd.isna(so_far["answer"].iloc[2])
    assert so_far["_error"].str.split().str[0].tolist() == [pd.NA, "interrupted:", "not"]
    assert so_far["_seconds"].notna().tolist() == [True, True, False]
    connected.requests.clear()
    assert frame.llm.generate("{{ a }}").tolist()[1:] == [LONG, "2"]
    assert sorted(_asked(connected)) == ["2", LONG]


def test_an_answer_of_a_form_that_is_stopped_is_marked_and_missing(connected, monkeypatch):
    frame = pd.DataFrame({"a": ['{"n": 1}', "hang"]})
    shown, due = running.Bar.show, iter([signal.SIGINT])

    def show(bar):
        shown(bar)
        if bar.count.answered == 1 and len(connected.requests) == 2:
            for number in due:
                signal.raise_signal(number)

    monkeypatch.setattr(running.Bar, "show", show)
    so_far = frame.llm.generate("{{ a }}", schema="n int", in_flight=1, details=True)

    assert so_far["n"].tolist() == [1, pd.NA]
    assert so_far["_error"].str.split().str[0].tolist() == [pd.NA, "interrupted:"]


def test_a_row_that_fails_leaves_the_others_alone(connected):
    frame = pd.DataFrame({"a": ["1", "break", "3"]})
    connected.ends, connected.counts = "", True

    with pytest.warns(RowsFailed, match=r"1 row failed.*the model worker was killed"):
        answers = frame.llm.generate("{{ a }}", details=True)

    assert answers["answer"].tolist() == ["1", pd.NA, "3"]
    assert answers["_error"].isna().tolist() == [True, False, True]
    assert answers.dtypes.astype(str).to_dict() == {
        "answer": "string",
        "_error": "string",
        "_tokens": "Int64",
        "_seconds": "Float64",
    }
    assert answers["_tokens"].tolist() == [1, pd.NA, 1]


def test_a_template_that_fails_on_a_row_is_its_error_alone():
    frame = pd.DataFrame({"a": [{"b": 1}, {"c": 2}]})

    with pytest.warns(RowsFailed, match="has no attribute 'b'"):
        answers = frame.llm.generate("{% $x {{ a.b }} {x}")

    assert answers.tolist() == ["{% $x 1 {x}", pd.NA]


def test_what_failed_is_asked_again(connected):
    frame = pd.DataFrame({"a": ["break"]})

    for _ in range(2):
        with pytest.warns(RowsFailed):
            frame.llm.generate("{{ a }}")

    assert _asked(connected) == ["break"] * 2


def test_without_a_model_nothing_is_lost_because_nothing_was_there():
    with pytest.raises(ModelNotFound):
        pd.Series(["a"]).llm.generate(model="absent")


def test_a_server_that_ends_in_between_is_an_error_of_the_rows_it_left(connected):
    frame = pd.DataFrame({"a": ["1", "vanish"]})

    with pytest.warns(RowsFailed, match="the connection to"):
        answers = frame.llm.generate("{{ a }}", in_flight=1)

    assert answers.tolist() == ["1", pd.NA]


TYPED = ['{"n": 9007199254740993, "ok": true, "day": "2026-01-02"}', None, '{"n": 3, "ok": false}']


def test_the_fields_of_a_schema_are_typed_columns():
    frame = pd.DataFrame({"a": TYPED}, index=["x", "y", "z"])

    values = frame.llm.generate("{{ a }}", schema="n int, ok bool, day date?")

    assert values.dtypes.astype(str).to_dict() == {
        "n": "Int64",
        "ok": "boolean",
        "day": "datetime64[us]",
    }
    assert values["n"].tolist() == [9007199254740993, pd.NA, 3]
    assert values.index.tolist() == ["x", "y", "z"]


def test_a_form_that_is_no_object_is_one_column():
    series = pd.Series(['["a", "b"]', "[]"])

    assert series.llm.generate(schema="[str]")["answer"].tolist() == [["a", "b"], []]


@pytest.mark.parametrize("answer", ['{"n": "many"}', "no JSON", "[1]", '{"n": 1'])
def test_an_answer_that_does_not_fit_is_an_error_of_its_row(answer):
    series = pd.Series(['{"n": 1}', answer])

    with pytest.warns(RowsFailed, match="1 row failed"):
        values = series.llm.generate(schema="n int", details=True)

    assert values["n"].tolist() == [1, pd.NA]
    assert values["_error"].isna().tolist() == [True, False]


def test_into_names_the_columns_of_a_copy():
    frame = pd.DataFrame({"a": ['{"n": 1, "ok": true}'], "b": [0]})

    together = frame.llm.generate("{{ a }}", schema="n int, ok bool", into=["b", "good"])

    assert together.columns.tolist() == ["a", "b", "good"]
    assert together["b"].tolist() == [1]
    assert frame["b"].tolist() == [0]


MISTAKES = [
    (("{{ review }}",), {}, UnknownColumn, "did you mean 'reviews'"),
    (("{{ xyz }}",), {}, UnknownColumn, "There are reviews"),
    (("{{ reviews",), {}, BadTemplate, "line 1"),
    (("all the same",), {}, NoColumn, r"\{\{ reviews \}\}"),
    ((3,), {}, NotText, "the template is int"),
    (("{{ reviews }}",), {"schema": "n int, ok bool", "into": "x"}, BadColumns, "n, ok"),
    (("{{ reviews }}",), {"format": "json", "into": "x"}, BadColumns, "does not say"),
    (("{{ reviews }}",), {"sample": 0}, BadColumns, "from 1"),
    (("{{ reviews }}",), {"in_flight": 0}, BadColumns, "from 1 to 100"),
    (("{{ reviews }}",), {"schema": "n integer"}, BadSchema, "column"),
    (("{{ reviews }}",), {"options": {"temprature": 0}}, UnknownOption, "temperature"),
]


@pytest.mark.parametrize(("args", "how", "kind", "words"), MISTAKES)
def test_a_mistake_is_told_before_anything_is_asked(connected, args, how, kind, words):
    frame = pd.DataFrame({"reviews": ["a"]})

    with pytest.raises(kind, match=words) as caught:
        frame.llm.generate(*args, **how)

    assert isinstance(caught.value, OllamaNbError)
    assert not any("prompt" in body for body in connected.requests)


def test_a_sample_is_spread_over_the_frame_and_says_how_long_all_takes(connected, capsys):
    frame = pd.DataFrame({"a": [None, *map(str, range(10))]})

    few = frame.llm.generate("{{ a }}", sample=5)

    assert few.index.tolist() == [1, 3, 5, 7, 9]
    assert few.tolist() == ["0", "2", "4", "6", "8"]
    assert "5 of 11 rows tried: 5 different prompts are left, about" in capsys.readouterr().err
    connected.requests.clear()
    frame.llm.generate("{{ a }}", sample=5)
    frame.llm.generate("{{ a }}")
    assert sorted(_asked(connected)) == ["1", "3", "5", "7", "9"]


def test_a_line_says_what_became_of_the_rows(capsys):
    frame = pd.DataFrame({"a": ["1 2", None, "break", "1 2"]})

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RowsFailed)
        frame.llm.generate("{{ a }}")
        frame.llm.generate("{{ a }}")
        frame.llm.generate("{{ a }}", progress=False)

    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("4 rows")]
    assert lines[0].startswith("4 rows: 2 answered, 1 failed, 1 missing; 2 tokens in ")
    assert lines[1:] == ["4 rows: 0 answered, 2 from the cache, 1 failed, 1 missing"]


def test_a_warning_of_the_server_is_told_once(connected):
    connected.nb = {"warnings": ["a text was cut"]}

    with pytest.warns(ollama_nb.errors.ServerWarning, match="was cut") as caught:
        pd.Series(["a", "b"]).llm.generate()

    assert len(caught) == 1


def test_embed_keeps_the_index_and_what_is_missing(connected):
    series = pd.Series(["a", None, "bbb", "a"], index=[3, 3, 1, 0])

    vectors = series.llm.embed()

    assert vectors.index.tolist() == [3, 3, 1, 0]
    assert set(vectors.dtypes) == {np.dtype("float32")}
    assert vectors[0].tolist()[::2] == [1.0, 3.0]
    assert vectors.iloc[1].isna().all()
    assert connected.requests[-1]["input"] == ["a", "bbb"]


def test_a_server_that_counts_no_tokens_says_which_one_does():
    with pytest.raises(NoTokenCounts, match="ollama_nb's own server does"):
        pd.Series(["a"]).llm.count_tokens()


def test_the_help_of_a_method_is_the_functions():
    import inspect

    signature = inspect.signature(pd.DataFrame({"a": [1]}).llm.generate)

    assert list(signature.parameters)[:2] == ["template", "model"]
    assert "Ask a model about each row" in pd.DataFrame().llm.generate.__doc__
