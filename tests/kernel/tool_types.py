"""Types that tools of the tests take, and how a tool is called as a model would."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import json
from typing import Any, Literal

import pydantic

from ollama_nb.tools.definition import tool_of
from ollama_nb.tools.running import run


class Unit(enum.Enum):
    """Of temperature."""

    CELSIUS = "C"
    FAHRENHEIT = "F"


class Place(pydantic.BaseModel):
    """A place."""

    city: str = pydantic.Field(description="Its name.")
    country: str = "FR"


@dataclasses.dataclass
class Span:
    begin: datetime.date
    end: datetime.date | None = None


class Tree(pydantic.BaseModel):
    name: str
    below: list[Tree] = []


def properties_of(function: Any) -> dict[str, Any]:
    found: dict[str, Any] = tool_of(function).definition["function"]["parameters"]["properties"]
    return found


def called(function: Any, **arguments: Any) -> Any:
    """Run a tool as a model would: with what JSON can write."""
    tool = tool_of(function)
    assert tool.signature is not None
    positional, named = tool.signature.bound(json.loads(json.dumps(arguments)))
    return run(function, positional, named)


def weather(city: str, days: int = 1, unit: Literal["C", "F"] = "C") -> str:
    """Tell the weather.

    For some days.

    Args:
        city: The name of the city,
            as people write it.
        days (int): How many.
        unit: Of the temperature.

    Returns:
        A sentence.
    """
    return f"{city} {days} {unit}"
