from __future__ import annotations

import copy
import datetime
import json
from dataclasses import asdict, dataclass
from typing import TypedDict

import pandas as pd
import pydantic
import pytest

from ollama_nb.answers.call_stats import CallStats
from ollama_nb.answers.generation import Generation
from ollama_nb.answers.schemas import Schema, schema_of
from ollama_nb.display.screens import LiveCell
from ollama_nb.errors import AnswerCut, NotATable, NotFitting, NotJson


class Person(pydantic.BaseModel):
    name: str
    age: int = 3


class Family(pydantic.BaseModel):
    people: list[Person]


class Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(strict=True)
    born: datetime.date


@dataclass
class Point:
    x: float
    y: int | None = None


class Place(TypedDict, total=False):
    at: str
    inside: list[Point]


def _answer(text, wish=None, **facts):
    return Generation(text, schema=None if wish is None else schema_of(wish), **facts)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1}', {"a": 1}),
        ("[1, 2]", [1, 2]),
        ('"yes"', "yes"),
        (' {"a": "ä"}\n', {"a": "ä"}),
        ('```json\n{"a": 1}\n```', {"a": 1}),
        ('```\n{"a": 1}\n```\n', {"a": 1}),
    ],
)
def test_json_is_parsed_asked_for_or_not(text, value):
    assert _answer(text).json == value
    assert _answer(text).data == value


@pytest.mark.parametrize("text", ["Paris", "", "{'a': 1}", 'Here: {"a": 1}', "[" * 100_000])
def test_what_is_no_json_is_said(text):
    with pytest.raises(NotJson, match="begins with") as caught:
        _ = _answer(text).json

    assert caught.value.answer == text
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("read", ["json", "data", "frame"])
def test_an_answer_that_was_cut_says_what_to_raise(read):
    stats = CallStats(datetime.datetime.now().astimezone(), 1.0, answer_tokens=20)
    answer = _answer('{"a": ', "a", done_reason="length", stats=stats)

    with pytest.raises(AnswerCut, match=r"after 20 tokens.*num_predict"):
        getattr(answer, read)


def test_an_answer_that_was_stopped_says_so():
    with pytest.raises(AnswerCut, match="interrupted"):
        _ = _answer('{"a": ', "a", done_reason="interrupted").json


def test_an_answer_that_met_the_limit_with_its_last_token_is_whole():
    assert _answer('{"a": 1}', "a int", done_reason="length").data.a == 1


def test_each_reading_is_a_new_object():
    answer = _answer('{"tags": []}', "tags [str]")

    answer.json["tags"].append("x")
    answer.data.tags.append("x")

    assert (answer.json, answer.data.tags) == ({"tags": []}, [])


@pytest.mark.parametrize(
    ("wish", "text", "data"),
    [
        (Person, '{"name": "A"}', Person(name="A", age=3)),
        (list[Person], '[{"name": "A", "age": 4}]', [Person(name="A", age=4)]),
        (Strict, '{"born": "2020-01-02"}', Strict(born=datetime.date(2020, 1, 2))),
        (Point, '{"x": 1}', Point(1.0)),
        (Place, '{"at": "here", "inside": [{"x": 1}]}', {"at": "here", "inside": [Point(1.0)]}),
        ("int", "3", 3),
        ("yes|no", '"yes"', "yes"),
        ("1.5|2", "2", 2),
        ("int|null", "null", None),
        ("[1|true]", "[true]", [True]),
        ("[datetime]", '["2020-01-02T03:04:05Z"]',
         [datetime.datetime(2020, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)]),
        ({"type": "object"}, '{"born": "2020-01-02"}', {"born": "2020-01-02"}),
    ],
)  # fmt: skip
def test_data_is_of_the_type_that_was_asked_for(wish, text, data):
    found = _answer(text, wish).data

    assert found == data
    assert type(found) is type(data)


def test_a_short_form_gives_a_dataclass():
    form = "name, born date, home {street, zip int}, score float?, class good|bad"
    text = '{"name": "A", "born": "2020-01-02", "home": {"street": "S", "zip": 1}, "class": "bad"}'

    data = _answer(text, form).data

    assert (data.name, data.born, data.home.zip) == ("A", datetime.date(2020, 1, 2), 1)
    assert (data.score, data.class_) == (None, "bad")
    assert repr(data).startswith("Record(name='A', born=datetime.date(2020, 1, 2), home=Home(")
    assert data == _answer(text, form).data
    assert asdict(data)["home"] == {"street": "S", "zip": 1}


def test_a_list_of_such_data_is_a_frame():
    data = [_answer(f'{{"name": "A", "age": {age}}}', "name, age int").data for age in (1, 2)]

    assert pd.DataFrame(data).to_dict("list") == {"name": ["A", "A"], "age": [1, 2]}


@pytest.mark.parametrize(
    ("wish", "text", "words"),
    [
        (Person, '{"name": "A", "age": "old"}', "age: .*integer"),
        (Person, "[]", "an object"),
        ("name, born date", '{"name": "A", "born": "2020-02-31"}', "born: "),
        ("mood happy|sad", '{"mood": "odd"}', "mood: .*'happy' or 'sad'"),
        ("home {zip int}", '{"home": {}}', "home.zip: "),
    ],
)
def test_json_of_another_form_is_said_and_kept(wish, text, words):
    answer = _answer(text, wish)

    with pytest.raises(NotFitting, match=words):
        _ = answer.data

    assert answer.json == json.loads(text)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
@pytest.mark.parametrize(
    "wish", [Person, dict[str, str | int], "name, age int", {"type": "object"}]
)
def test_a_copy_reads_the_same(wish, copied):
    answer = _answer('{"name": "A", "age": 3}', wish)

    assert copied(answer).data == answer.data


def test_the_rows_of_a_list():
    frame = _answer('[{"a": 1, "b": "x"}, {"a": 2}]', "[a int, b?]").frame

    assert frame.dtypes.astype(str).to_dict() == {"a": "Int64", "b": "string"}
    assert frame["a"].tolist() == [1, 2]
    assert frame["b"].isna().tolist() == [False, True]
    assert list(frame.index) == [0, 1]


@pytest.mark.parametrize(
    ("wish", "text"),
    [
        (Family, '{"people": [{"name": "A", "age": 4}, {"name": "B", "age": 5}]}'),
        ("people [{name, age int}]", '{"people": [{"name": "A", "age": 4}, {"name": "B", "age": 5}]}'),
        (list[Person], '[{"name": "A", "age": 4}, {"name": "B", "age": 5}]'),
    ],
)  # fmt: skip
def test_rows_are_found_in_the_only_field_too(wish, text):
    frame = _answer(text, wish).frame

    assert frame.to_dict("list") == {"name": ["A", "B"], "age": [4, 5]}
    assert str(frame["age"].dtype) == "Int64"


@pytest.mark.parametrize(
    ("wish", "text", "columns"),
    [
        ("name, tags [str]", '{"name": "A", "tags": ["x"]}', {"name": ["A"], "tags": [["x"]]}),
        ("colours [str]", '{"colours": ["red", "blue"]}', {"colours": ["red", "blue"]}),
        ("[int]", "[1, 2]", {"value": [1, 2]}),
        ("[name]", "[]", {"name": []}),
        ("[int]", "[]", {"value": []}),
        (None, '[{"a": 1}, {"b": 2.5}]', {"a": [1.0, None], "b": [None, 2.5]}),
        (None, '{"a": {"b": 1}}', {"a": [{"b": 1}]}),
        (None, '{"a": [1, {"b": 1}]}', {"a": [1, {"b": 1}]}),
    ],
)
def test_other_json_as_rows(wish, text, columns):
    frame = _answer(text, wish).frame

    assert frame.astype(object).where(frame.notna(), None).to_dict("list") == columns


def test_dates_and_missing_values_have_dtypes():
    form = "[born date, at datetime, sure bool?, n int?, x float?]"
    rows = [{"born": "0503-01-02", "at": "2020-01-02t03:04:05.5+01:00"}]

    frame = _answer(json.dumps(rows), form).frame

    kinds = ["datetime64[us]", "datetime64[us, UTC]", "boolean", "Int64", "float64"]
    assert [str(dtype) for dtype in frame.dtypes] == kinds
    assert frame["born"].dt.year.tolist() == [503]
    assert frame["at"][0] == pd.Timestamp("2020-01-02T02:04:05.5Z")


def test_dates_may_be_missing():
    frame = _answer('[{"born": "2020-01-02"}, {}]', "[born date?]").frame

    assert frame["born"].isna().tolist() == [False, True]


@pytest.mark.parametrize(
    ("schema", "other", "dtype"),
    [
        ({"type": ["integer", "null"]}, "null", "Int64"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "null", "Int64"),
        ({"allOf": [{"$ref": "#/$defs/Count"}]}, "null", "Int64"),
        ({"type": ["integer", "string"]}, '"x"', "object"),
        ({"enum": [1, None]}, "null", "Int64"),
        ({"enum": [1, 1.5]}, "1.5", "float64"),
        ({"const": 1}, "null", "Int64"),
        ({"enum": [1, "x"]}, '"x"', "object"),
        (True, "null", "float64"),
    ],
)
def test_the_dtype_of_a_column_that_may_be_null(schema, other, dtype):
    item = {"type": "object", "properties": {"n": schema}}
    form = {"type": "array", "items": item, "$defs": {"Count": {"type": "integer"}}}

    frame = _answer(f'[{{"n": 1}}, {{"n": {other}}}]', form).frame

    assert str(frame["n"].dtype) == dtype


def test_a_number_that_is_too_large_for_its_column_is_named():
    with pytest.raises(NotFitting, match="n: "):
        _ = _answer('{"n": 99999999999999999999}', "n int").frame


def test_a_single_value_has_no_rows():
    with pytest.raises(NotATable, match="is str"):
        _ = _answer('"yes"', "yes|no").frame


def test_a_value_that_does_not_fit_its_column_is_named():
    with pytest.raises(NotFitting, match="born: "):
        _ = _answer('[{"born": "soon"}]', "[born date]").frame


def test_json_is_shown_indented_as_code_and_stays_as_it_came():
    answer = _answer('{"a":"ä","b":[1]}', "a, b [int]")

    indented = '{\n  "a": "ä",\n  "b": [\n    1\n  ]\n}'
    shown = answer.bundle()
    assert shown["text/markdown"] == f"```json\n{indented}\n```"
    assert shown["text/plain"] == indented
    assert '<span class="string">"ä"</span>' in shown["text/html"]
    assert answer == '{"a":"ä","b":[1]}'
    assert answer._repr_markdown_() == f"```json\n{indented}\n```"


def test_json_that_was_cut_is_shown_as_it_came():
    answer = _answer('{"a_b": "c_', "a_b", done_reason="length")

    assert answer.bundle()["text/markdown"] == '```json\n{"a_b": "c_\n```'


def test_a_block_of_code_holds_any_text():
    answer = Generation('{"a": "``` and ````"}', schema=Schema("json"))

    assert answer.bundle()["text/markdown"].startswith("`````json\n")
    assert answer.bundle()["text/markdown"].endswith("\n`````")


def test_json_streams_as_code():
    shown = []
    clock_s = iter(range(100))
    cell = LiveCell(
        "demo", lambda bundle, _: shown.append(bundle) or 1, lambda: next(clock_s), is_json=True
    )

    cell.update('{"a_b":')
    cell.end()

    code = '<pre><code class="language-json">{&quot;a_b&quot;:\n</code></pre>\n'
    assert shown == [{"text/html": code, "text/plain": '{"a_b":'}]
