"""Schemas as clients write them: pydantic's of models, and zod's as it prints them."""

import datetime as dt
import json
from enum import Enum, IntEnum
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from pydantic import UUID4, AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter


class Colour(str, Enum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    weight: float


class Event(BaseModel):
    at: AwareDatetime
    on: dt.date
    start: dt.time
    takes: dt.timedelta
    number: UUID
    token: UUID4


class Tree(BaseModel):
    leaf: bool
    children: list["Tree"] = Field(default_factory=list, max_length=2)


class Zoo(BaseModel):
    model_config = ConfigDict(extra="forbid")

    colour: Colour
    colours: set[Colour]
    level: Level | None
    pets: list[Annotated[Cat | Dog, Field(discriminator="kind")]] = Field(max_length=2)
    score: Annotated[float, Field(ge=0, le=1)]
    count: Annotated[int, Field(gt=0)]
    named: Annotated[dict[Colour, int], Field(max_length=2)]
    pair: tuple[int, bool]
    note: Annotated[str, Field(max_length=5)] | None = None


@pytest.mark.parametrize(
    "wanted",
    [
        Event,
        Tree,
        Zoo,
        list[Level],
        frozenset[bool],
        dict[UUID, bool],
        Annotated[dict[Annotated[str, Field(pattern="^a+$")], int], Field(max_length=2)],
        dt.timedelta,
        Any,
    ],
    ids=str,
)
def test_pydantic_takes_every_answer_to_its_schema(answers, wanted):
    adapter = TypeAdapter(wanted)

    for value in answers(adapter.json_schema()):
        adapter.validate_json(json.dumps(value))


EMAIL = (
    r"^(?!\.)(?!.*\.\.)([A-Za-z0-9_'+\-\.]*)[A-Za-z0-9_+-]@"
    r"([A-Za-z0-9][A-Za-z0-9\-]*\.)+[A-Za-z]{2,}$"
)
DATE = (
    r"(?:(?:\d\d[2468][048]|\d\d[13579][26]|\d\d0[48]|[02468][048]00|[13579][26]00)-02-29|"
    r"\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)|"
    r"(?:02)-(?:0[1-9]|1\d|2[0-8])))"
)
TIME = r"T(?:(?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d+)?)?(?:Z))"
UUIDS = (
    "^([0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[1-8][0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}"
    "|00000000-0000-0000-0000-000000000000|ffffffff-ffff-ffff-ffff-ffffffffffff)$"
)
DURATION = (
    r"^P(?:(\d+W)|(?!.*W)(?=\d|T\d)(\d+Y)?(\d+M)?(\d+D)?"
    r"(T(?=\d)(\d+H)?(\d+M)?(\d+([.,]\d+)?S)?)?)$"
)
HOSTNAME = (
    r"^(?=.{1,253}\.?$)[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
    r"(?:\.[a-zA-Z0-9](?:[-0-9a-zA-Z]{0,61}[0-9a-zA-Z])?)*\.?$"
)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "format": "email", "pattern": EMAIL},
        {"type": "string", "format": "date-time", "pattern": f"^{DATE}{TIME}$"},
        {"type": "string", "format": "date", "pattern": f"^{DATE}$"},
        {"type": "string", "format": "uuid", "pattern": UUIDS},
        {"type": "string", "format": "duration", "pattern": DURATION},
        {"type": "string", "format": "hostname", "pattern": HOSTNAME},
        {"type": "number", "minimum": -3.4028234663852886e38, "maximum": 3.4028234663852886e38},
        {"type": "number", "minimum": -1.7976931348623157e308, "maximum": 1.7976931348623157e308},
        {"type": "integer", "minimum": -9007199254740991, "maximum": 9007199254740991},
        {
            "type": "object",
            "propertyNames": {"type": "string"},
            "additionalProperties": {"type": "boolean"},
        },
        {
            "type": "object",
            "propertyNames": {"type": "string", "enum": ["a", "b"]},
            "additionalProperties": {"type": "boolean"},
            "required": ["a", "b"],
        },
        {"anyOf": [{"type": "number"}, {"type": "string", "pattern": "^(?!^[-+.]*$)[+-]?0*$"}]},
        {"$id": "https://x/y", "$ref": "https://x/y#/$defs/z", "$defs": {"z": {"const": 1}}},
    ],
    ids=str,
)
def test_answers_fit_what_zod_and_others_write(answers, schema):
    assert answers({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}, count=30)
