"""What a short form consists of; each piece knows its JSON Schema and its Python type.

Written by `short_form`; the records become dataclasses, so that pandas and pydantic know them.
"""

from __future__ import annotations

import datetime
import keyword
from dataclasses import dataclass, field, make_dataclass
from typing import Annotated, Any, Literal, Union

# Word of the short form -> its JSON Schema and its Python type.
SCALARS: dict[str, tuple[dict[str, Any], Any]] = {
    "str": ({"type": "string"}, str),
    "int": ({"type": "integer"}, int),
    "float": ({"type": "number"}, float),
    "bool": ({"type": "boolean"}, bool),
    "date": ({"type": "string", "format": "date"}, datetime.date),
    "datetime": ({"type": "string", "format": "date-time"}, datetime.datetime),
    "null": ({"type": "null"}, None),
    "any": ({}, Any),
}


@dataclass(frozen=True, slots=True)
class Scalar:
    """One of the words for types."""

    word: str

    def definition(self) -> dict[str, Any]:
        """Return the JSON Schema."""
        return dict(SCALARS[self.word][0])

    def kind(self, name: str) -> Any:
        """Return the Python type; `name` is for records."""
        return SCALARS[self.word][1]


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several values: `happy|sad`."""

    values: tuple[str | int | float | bool | None, ...]

    def definition(self) -> dict[str, Any]:
        """Return the JSON Schema."""
        texts = all(isinstance(value, str) for value in self.values)
        return {**({"type": "string"} if texts else {}), "enum": list(self.values)}

    def kind(self, name: str) -> Any:
        """Return the Python type (a Literal of fractions is none that pydantic takes)."""
        if any(isinstance(value, float) for value in self.values):
            return Any
        return Literal[self.values]


@dataclass(frozen=True, slots=True)
class Either:
    """One of several types: `int|null`."""

    members: tuple[Node, ...]

    def definition(self) -> dict[str, Any]:
        """Return the JSON Schema."""
        return {"anyOf": [member.definition() for member in self.members]}

    def kind(self, name: str) -> Any:
        """Return the Python type."""
        return Union[tuple(one.kind(name) for one in self.members)]  # noqa: UP007 - not an annotation


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list: `[str]`."""

    item: Node

    def definition(self) -> dict[str, Any]:
        """Return the JSON Schema."""
        return {"type": "array", "items": self.item.definition()}

    def kind(self, name: str) -> Any:
        """Return the Python type."""
        return list[self.item.kind(name)]  # type: ignore[misc]


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a record."""

    name: str
    node: Node
    optional: bool
    description: str

    def definition(self) -> dict[str, Any]:
        """Return the JSON Schema."""
        more = {"description": self.description} if self.description else {}
        return {**self.node.definition(), **more}

    @property
    def attribute(self) -> str:
        """The name in Python: one that is reserved gets a `_`."""
        return f"{self.name}_" if keyword.iskeyword(self.name) else self.name

    def in_dataclass(self) -> tuple[Any, ...]:
        """Return what `make_dataclass` wants; None is for what may be absent."""
        kind = self.node.kind(self.name.title().replace("_", "") or "Record")
        kind = Union[kind, None] if self.optional else kind  # noqa: UP007 - null | None fails
        if self.attribute != self.name:
            from pydantic import Field as Alias

            kind = Annotated[kind, Alias(alias=self.name)]
        default = (field(default=None),) if self.optional else ()
        return self.attribute, kind, *default


@dataclass(frozen=True, slots=True)
class Record:
    """An object: `{street, zip int}`, or the whole form."""

    fields: tuple[Field, ...]

    def definition(self) -> dict[str, Any]:
        """Return the JSON Schema; what is not asked for must not come."""
        return {
            "type": "object",
            "properties": {one.name: one.definition() for one in self.fields},
            "required": [one.name for one in self.fields if not one.optional],
            "additionalProperties": False,
        }

    def kind(self, name: str) -> Any:
        """Return a dataclass with these fields."""
        made = make_dataclass(name, [one.in_dataclass() for one in self.fields], kw_only=True)
        made.__module__ = __name__
        return made


Node = Scalar | Choice | Either | ListOf | Record
