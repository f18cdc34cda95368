from __future__ import annotations

import enum
import typing
from dataclasses import dataclass
from typing import Any, Literal, Optional, TypedDict

import pydantic
import pytest
import typing_extensions

from ollama_nb.answers.schemas import schema_of, wanted
from ollama_nb.errors import BadSchema


class Person(pydantic.BaseModel):
    name: str
    age: int = 3


@dataclass
class Point:
    x: float
    y: float


class Place(TypedDict):
    at: str


class Visit(TypedDict, total=False):
    where: Place
    before: Optional[Place]  # noqa: UP045 - people write it like this
    more: list[Place]


class Modern(typing_extensions.TypedDict):
    at: typing_extensions.NotRequired[str]


class Mood(enum.Enum):
    HAPPY = "happy"
    SAD = "sad"


class Odd:
    def __init__(self, x):
        self.x = x


@pytest.mark.parametrize(
    ("kind", "names", "required"),
    [
        (Person, ["name", "age"], ["name"]),
        (Point, ["x", "y"], ["x", "y"]),
        (Place, ["at"], ["at"]),
        (Visit, ["where", "before", "more"], None),
        (Modern, ["at"], None),
    ],
)
def test_a_class_with_fields_is_an_object_without_others(kind, names, required):
    schema = schema_of(kind).format

    assert list(schema["properties"]) == names
    assert schema.get("required") == required
    assert schema["additionalProperties"] is False


def test_inner_classes_are_closed_too_and_data_are_left_alone():
    class Holder(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(extra="allow")
        person: Person
        default: dict[str, Any] = {"properties": {}}

    schema = schema_of(Holder).format

    assert schema["additionalProperties"] is True
    assert schema["$defs"]["Person"]["additionalProperties"] is False
    assert schema["properties"]["default"]["default"] == {"properties": {}}


@pytest.mark.parametrize(
    ("kind", "schema"),
    [
        (int, {"type": "integer"}),
        (Literal["a", "b"], {"type": "string", "enum": ["a", "b"]}),
        (list[int], {"type": "array", "items": {"type": "integer"}}),
        ([int], {"type": "array", "items": {"type": "integer"}}),
        (int | None, {"anyOf": [{"type": "integer"}, {"type": "null"}]}),
        (dict[str, int], {"type": "object", "additionalProperties": {"type": "integer"}}),
        (Any, {}),
    ],
)
def test_a_type(kind, schema):
    assert schema_of(kind).format == schema


def test_an_enum_is_a_choice():
    assert schema_of(Mood).format["enum"] == ["happy", "sad"]


@pytest.mark.parametrize("kind", [list[Person], [Person]])
def test_a_list_of_a_class(kind):
    schema = schema_of(kind).format

    assert schema["items"] == {"$ref": "#/$defs/Person"}


@pytest.mark.parametrize(
    "given",
    [
        {"type": "object", "properties": {"a": {"type": "string"}}},
        '{"type": "object", "properties": {"a": {"type": "string"}}}',
        ' {\n"type": "object", "properties": {"a": {"type": "string"}}}',
    ],
)
def test_a_json_schema_is_taken_as_it_is(given):
    assert schema_of(given).format == {"type": "object", "properties": {"a": {"type": "string"}}}


def test_a_json_schema_is_copied():
    given = {"type": "object", "required": ["a"]}

    schema = schema_of(given)
    given["required"].append("b")

    assert schema.format["required"] == ["a"]


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        (3, "of type int is no schema"),
        (None, "of type NoneType"),
        (Person(name="x"), "of type Person"),
        (lambda: 3, "of type function"),
        ({"name": "str"}, "'name' is no JSON Schema"),
        ({"type": object}, "cannot be written as JSON"),
        ('{"type": "object",}', "is no JSON: .*line 1 column 1"),
        (Odd, "no schema can be made of Odd"),
        (list[Odd], r"no schema can be made of list\[.*Odd\]"),
        ([Person, Point], "of type list"),
        (typing.Callable[[], int], "has no form in JSON"),
        ("name, age itn", "did you mean int"),
    ],
)
def test_what_is_no_schema_is_said_in_one_line(wish, words):
    with pytest.raises(BadSchema, match=words) as caught:
        schema_of(wish)

    assert "\n" not in str(caught.value)


def test_the_same_form_gives_the_same_class():
    assert schema_of("name, age int").kind is schema_of("name, age int").kind


@pytest.mark.parametrize("format", [None, ""])
def test_no_format_is_free_text(format):
    assert wanted(None, format) is None


def test_json_is_any_object():
    assert wanted(None, "json").format == "json"


@pytest.mark.parametrize("format", ["xml", "name, age int", 5, [1]])
def test_a_format_that_ollama_does_not_know_is_refused(format):
    with pytest.raises(BadSchema, match="or a JSON Schema"):
        wanted(None, format)


def test_schema_and_format_exclude_each_other():
    with pytest.raises(BadSchema, match="not both"):
        wanted("name", "json")


def test_a_set_is_a_list_whose_doubles_do_not_count() -> None:
    assert "uniqueItems" not in schema_of(set[str]).format
