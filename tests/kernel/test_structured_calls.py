"""`format`, `schema` and `suffix` on their way to a server, from functions and magics."""

from __future__ import annotations

import pydantic
import pytest

import ollama_nb
from ollama_nb.errors import BadSchema, MagicUsage, NotText
from ollama_nb.magics.schemas import filled

FORM = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
SETUP = """
import typing
from typing import Literal
import pydantic
class Person(pydantic.BaseModel):
    name: str
    age: int
form = "name, age int"
definition = {"type": "object"}
number = 3
tail = "\\n    return x"
_secret = {"type": "object"}
"""


class Person(pydantic.BaseModel):
    name: str
    age: int


@pytest.fixture
def prepared(cells):
    assert cells.run(SETUP).status == "ok"
    return cells


def test_functions_send_the_schema_and_read_the_answer(connected):
    text = '{"name": "A", "age": 3}'

    generated = ollama_nb.generate(text, schema=Person)
    chatted = ollama_nb.chat(text, schema="name, age int")

    assert generated.data == Person(name="A", age=3)
    assert chatted.data.age == 3
    assert [body["format"]["required"] for body in connected.requests] == [["name", "age"]] * 2


@pytest.mark.parametrize("format", ["json", {"type": "object"}])
def test_format_is_sent_as_it_is(connected, format):
    ollama_nb.generate("{}", format=format)
    ollama_nb.chat("{}", format=format)

    assert [body["format"] for body in connected.requests] == [format, format]


def test_a_call_without_them_sends_neither(connected):
    answer = ollama_nb.generate("one")

    assert answer.schema is None
    assert {"format", "suffix"} & connected.requests[-1].keys() == set()


def test_a_conversation_may_ask_for_json_once(connected):
    talk = ollama_nb.Conversation()

    talk.say("{}", format="json")
    talk.say("and now prose")

    assert ["format" in body for body in connected.requests] == [True, False]


def test_a_suffix_is_sent(connected):
    ollama_nb.generate("def f(x):", suffix="    return x")

    assert connected.requests[-1]["suffix"] == "    return x"


def test_a_suffix_must_be_text(connected):
    with pytest.raises(NotText, match="the suffix is int"):
        ollama_nb.generate("one", suffix=3)


def test_a_bad_schema_asks_nobody(connected):
    with pytest.raises(BadSchema):
        ollama_nb.generate("one", schema="age itn")

    assert connected.requests == []


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ('"name, age int"', "Record"),
        ("form", "Record"),
        ("=form", "Record"),
        ("Person", "Person"),
        ("typing.Optional[Person]", "Person"),
        ('"Person | None"', "Person"),
        ("definition", "dict"),
        ('\'{"type": "object"}\'', "dict"),
    ],
)
def test_what_schema_names_is_what_the_data_are(prepared, words, kind):
    separator = "" if words.startswith("=") else " "

    prepared.run(f'%%generate --schema{separator}{words} -> a\n{{"name": "A", "age": 3}}')

    assert prepared.run("type(a.data).__name__").result == repr(kind)


@pytest.mark.parametrize("words", ["list[Person]", "[Person]", '"list[Person]"'])
def test_a_list_of_a_class(prepared, words):
    prepared.run(f'%generate --schema {words} [{{"name": "A", "age": 3}}]')

    assert prepared.run("_.data == [Person(name='A', age=3)]").result == "True"


@pytest.mark.parametrize(
    ("words", "schema"),
    [
        ('"name, age int"', FORM),
        ("int", {"type": "integer"}),
        ("yes|no", {"type": "string", "enum": ["yes", "no"]}),
        ("Literal['yes','no']", {"type": "string", "enum": ["yes", "no"]}),
        ("[int]", {"type": "array", "items": {"type": "integer"}}),
    ],
)
def test_the_schema_that_is_sent(prepared, other_for_cells, words, schema):
    prepared.run(f"%chat --reset --schema {words} hello")

    assert other_for_cells.requests[-1]["format"] == schema


@pytest.mark.parametrize("form", ["type [str]", "tags [str]", "Person [str]"])
def test_a_field_may_have_the_name_of_a_class(prepared, other_for_cells, form):
    prepared.run(f'%generate --schema "{form}" hello')

    assert list(other_for_cells.requests[-1]["format"]["properties"]) == [form.split()[0]]


@pytest.mark.parametrize(
    ("line", "suffix"),
    [
        ("--suffix '    return x' def f(x):", "    return x"),
        ("--suffix {tail} def f(x):", "\n    return x"),
        ("--suffix '{tail} {}' def f(x):", "{tail} {}"),
        ("def f(x):", None),
    ],
)
def test_the_suffix_is_literal_or_a_variable(prepared, other_for_cells, line, suffix):
    prepared.run(f"%generate {line}")

    body = other_for_cells.requests[-1]
    assert (body["prompt"], body.get("suffix")) == ("def f(x):", suffix)


def test_a_mark_in_the_cell_is_the_gap(prepared, other_for_cells):
    prepared.run("%%generate --fill [GAP]\ndef f(x):\n    [GAP]\n    return y")

    body = other_for_cells.requests[-1]
    assert (body["prompt"], body["suffix"]) == ("def f(x):\n    ", "\n    return y")


@pytest.mark.parametrize("text", ["no gap", "[GAP] and [GAP]"])
def test_the_mark_stands_once(text):
    with pytest.raises(MagicUsage, match="the mark of the gap"):
        filled(text, "[GAP]")


def test_json_is_shown_indented_and_streams_as_code(prepared):
    run = prepared.run('%%generate --format json\n{"a_b":  "slowly one two", "c": 1}', watched=True)

    assert run.text == '{\n  "a_b": "slowly one two",\n  "c": 1\n}'
    assert '<code class="language-json">' in run.updates[0]["text/html"]
    assert prepared.run('str(_).startswith(\'{"a_b": "slowly\')').result == "True"


def test_a_grammar_is_an_option_like_any(prepared, other_for_cells):
    prepared.run("""%generate -o grammar='root ::= "yes" | "no"' Well?""")

    assert other_for_cells.requests[-1]["options"] == {"grammar": 'root ::= "yes" | "no"'}


@pytest.mark.parametrize(
    ("line", "name", "words"),
    [
        ("--schema Persn hi", "BadSchema", "did you mean Person?"),
        ("--schema nothing hi", "BadSchema", "--schema 'nothing str'"),
        ("--schema number hi", "BadSchema", "of type int is no schema"),
        ("--schema Person.nope hi", "BadSchema", "'Person' has no 'nope'"),
        ('--schema "name, age itn" hi', "BadSchema", "column 11 (itn)"),
        ("--schema name, age int hi", "BadSchema", "quote it all"),
        ("--schema '' hi", "BadSchema", "the name of a field"),
        ("--schema list[Persn] hi", "BadSchema", "'Persn'"),
        ("--schema Person[int] hi", "BadSchema", "Person[int]"),
        ("--schema Person --format json hi", "BadSchema", "not both"),
        ("--format xml hi", "MagicUsage", "choose from 'json'"),
        ("--suffix {nope} hi", "MagicUsage", "no variable 'nope'"),
        ("--suffix {number} hi", "NotText", "'number' of --suffix is int"),
        ("--fill X hi", "MagicUsage", "not in the text"),
        ("--fill X --suffix y hi X", "MagicUsage", "give one"),
    ],
)
def test_a_mistake_is_one_line(prepared, other_for_cells, line, name, words):
    asked = len(other_for_cells.requests)

    run = prepared.run(f"%generate {line}")

    assert run.error["ename"] == name
    assert words in run.error["evalue"]
    assert len(run.error["traceback"]) == 1
    assert len(other_for_cells.requests) == asked


def test_a_form_without_quotes_above_a_cell_is_explained(prepared):
    assert "quote it all" in prepared.run("%%generate --schema name, age int\nhi").error["evalue"]


@pytest.mark.parametrize(
    ("typed", "proposed"),
    [
        ("%generate --format ", ["%generate --format json"]),
        ("%%generate --schema P", ["%%generate --schema Person"]),
        ("%chat --schema d", ["%chat --schema definition"]),
        ("%generate --schema-", ["%generate --schema-in-prompt"]),
        ("%generate --su", ["%generate --suffix"]),
        ("%generate -o gram", ["%generate -o grammar="]),
    ],
)
def test_words_are_completed(prepared, typed, proposed):
    assert prepared.complete(typed) == proposed
