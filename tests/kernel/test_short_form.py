from __future__ import annotations

import re
from pathlib import Path

import pytest

from ollama_nb.answers.schemas import schema_of
from ollama_nb.answers.schemas.nodes import SCALARS
from ollama_nb.errors import BadSchema

TEXT, INT, NUMBER, BOOL = ({"type": kind} for kind in ("string", "integer", "number", "boolean"))


def _object(optional=(), **properties):
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
    }


def _list(item):
    return {"type": "array", "items": item}


def _choice(*values):
    return {"type": "string", "enum": list(values)}


@pytest.mark.parametrize(
    ("form", "kind"),
    [
        ("x", TEXT),
        ("x str", TEXT),
        ("x int", INT),
        ("x float", NUMBER),
        ("x bool", BOOL),
        ("x date", {"type": "string", "format": "date"}),
        ("x datetime", {"type": "string", "format": "date-time"}),
        ("x null", {"type": "null"}),
        ("x any", {}),
        ("x [str]", _list(TEXT)),
        ("x [ [int] ]", _list(_list(INT))),
        ("x {y, z int}", _object(y=TEXT, z=INT)),
        ("x {\n  y\n  z int\n}", _object(y=TEXT, z=INT)),
        ("x [{y, z int}]", _list(_object(y=TEXT, z=INT))),
        ("x good|bad", _choice("good", "bad")),
        ("x good | bad", _choice("good", "bad")),
        ('x "very good"|bad', _choice("very good", "bad")),
        ("x semi-formal|casual", _choice("semi-formal", "casual")),
        ("x 1|2|3", {"enum": [1, 2, 3]}),
        ("x -1|0.5", {"enum": [-1, 0.5]}),
        ("x true|false", {"enum": [True, False]}),
        ("x good|bad|null", {"enum": ["good", "bad", None]}),
        ("x int|null", {"anyOf": [INT, {"type": "null"}]}),
        ('x int|"unknown"', {"anyOf": [INT, _choice("unknown")]}),
        ("x none|[str]", {"anyOf": [_choice("none"), _list(TEXT)]}),
        ("x [good|bad]", _list(_choice("good", "bad"))),
        ("x [int|null]", _list({"anyOf": [INT, {"type": "null"}]})),
        ("x: int", INT),
        ("x: [str]", _list(TEXT)),
        ("x: good|bad", _choice("good", "bad")),
        ("x: what it is", {**TEXT, "description": "what it is"}),
        ("x int: how many?", {**INT, "description": "how many?"}),
        ("x: int: how many", {**INT, "description": "how many"}),
        ('x "what, and why"', {**TEXT, "description": "what, and why"}),
        ("x int 'how many'", {**INT, "description": "how many"}),
        ('x: "a: b}"', {**TEXT, "description": "a: b}"}),
        ("x [{y: a note}]: all", {**_list(_object(y={**TEXT, "description": "a note"})), "description": "all"}),
    ],
)  # fmt: skip
def test_a_field(form, kind):
    assert schema_of(form).format == _object(x=kind)


@pytest.mark.parametrize(
    ("form", "schema"),
    [
        ("name, age int", _object(name=TEXT, age=INT)),
        ("  name ,age  int ", _object(name=TEXT, age=INT)),
        ("name\nage int", _object(name=TEXT, age=INT)),
        ("\n  name,\n\n  age int,\n", _object(name=TEXT, age=INT)),
        ("{name, age int}", _object(name=TEXT, age=INT)),
        ("[name, age int]", _list(_object(name=TEXT, age=INT))),
        ("[\n name\n age int\n]", _list(_object(name=TEXT, age=INT))),
        ("größe float, _x", _object(größe=NUMBER, _x=TEXT)),
        ("date, int int", _object(date=TEXT, int=INT)),
        ("score float?, note?", _object(["score", "note"], score=NUMBER, note=TEXT)),
        ("score? float", _object(["score"], score=NUMBER)),
        ("score: float?", _object(["score"], score=NUMBER)),
        ("int", INT),
        ("[str]", _list(TEXT)),
        ("[[int]]", _list(_list(INT))),
        ("yes|no", _choice("yes", "no")),
        ('"not sure"|yes', _choice("not sure", "yes")),
        ("date", {"type": "string", "format": "date"}),
    ],
)
def test_a_whole_form(form, schema):
    assert schema_of(form).format == schema


def test_a_form_of_several_lines_has_commas_in_descriptions():
    schema = schema_of(
        "name: first, then last\nage int: in years\nhome {street: a, zip int}"
    ).format

    assert schema["properties"]["name"]["description"] == "first, then last"
    assert list(schema["properties"]) == ["name", "age", "home"]
    assert schema["properties"]["home"]["required"] == ["street", "zip"]


@pytest.mark.parametrize(
    ("form", "place", "words"),
    [
        ("", "column 1", "the name of a field is expected"),
        ("  ", "column 1", "the name of a field is expected"),
        ("3d", "column 1", "the name of a field is expected"),
        ("name, age itn", "column 11", "did you mean int?"),
        ("name\nage itn", "line 2, column 5", "did you mean int?"),
        ("age integer", "column 5", "did you mean int?"),
        ("age: integer", "column 6", "did you mean int?"),
        ("age Integer", "column 5", "did you mean int?"),
        ("tags list[str]", "column 6", "did you mean [str]?"),
        ("tags [strng]", "column 7", "did you mean str?"),
        ("mood happy", "column 6", "yes|no"),
        ("name age int", "column 6", "there is no type 'age'"),
        ("a int int", "column 7", "a comma is expected"),
        ("a yes|no maybe", "column 10", "a comma is expected"),
        ("name,,age", "column 5", "a field is missing"),
        ("name,", "column 5", "a field is missing"),
        ("name, name", "column 7", "'name' already"),
        ("class, class_", "column 8", "'class_' already"),
        ("a {b, b}", "column 7", "'b' already"),
        ("a b|int", "column 5", "in quotes"),
        ("a b|", "column 5", "a type is expected"),
        ("a |", "column 4", "a type is expected"),
        ("a:", "column 3", "a description is expected"),
        ("tags [str", "column 10", "']' is expected"),
        ("a {b", "column 5", "'}' is expected"),
        ("a {b]", "column 5", "a type is expected"),
        ("[" * 10_000, "column 51", "more than 50 brackets"),
        ("a " + "{b " * 10_000, "column 153", "more than 50 brackets"),
        ("a {}", "column 4", "the name of a field is expected"),
        ("a []", "column 4", "a type is expected"),
        ("[name", "column 6", "']' is expected"),
        ("[name] x", "column 8", "nothing more is expected"),
        ('a "b', "column 3", "a type is expected"),
        ("a-b int", "column 2", "there is no type '-b'"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_place(form, place, words):
    with pytest.raises(BadSchema) as caught:
        schema_of(form)

    assert f"{place} (" in str(caught.value)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_alternative_that_is_missing_is_named():
    with pytest.raises(BadSchema, match="a type is expected"):
        schema_of("a yes||no")


PAGE = Path(__file__).parents[2] / "docs" / "structured-output.md"
TABLE = PAGE.read_text("utf-8").partition("## The short form")[2].partition("Every field")[0]
DOCUMENTED = [form.replace("\\|", "|") for form in re.findall(r"^\| `(.*?)` \|", TABLE, re.M)]


@pytest.mark.parametrize("form", DOCUMENTED)
def test_what_the_documentation_writes_is_understood(form):
    assert schema_of(form).format


def test_the_documentation_names_every_type():
    assert len(DOCUMENTED) > 10
    assert [word for word in SCALARS if f"`{word}`" not in TABLE] == []
