"""The kinds of values that Ollama gives to Go templates, by how they print and what JSON they are.

Owns the kinds (reference/ollama-models.md 5.3); messages and tools are made of them in
`go_messages` and `go_tools`. The language's own values are `gotemplate`'s.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from ollama_nb_server.gotemplate import Struct, Value
from ollama_nb_server.prompts import go_json


class Slice(go_json.Documented, list[Value]):
    """A slice that Ollama leaves nil where it has no elements: JSON shows it as null."""

    def __init__(self, go_type: str, elements: Iterable[Value]) -> None:
        super().__init__(elements)
        self.go_type = go_type

    def document(self) -> Any:
        """The elements, or None."""
        return list(self) or None


class JsonMap(go_json.Documented, dict[str, Value]):
    """A map that prints as JSON; None makes a nil map."""

    def __init__(self, items: Mapping[str, Value] | None) -> None:
        super().__init__(items or {})
        self.is_nil = items is None

    def document(self) -> Any:
        """The map, or None."""
        return None if self.is_nil else dict(self)

    def go_string(self) -> str:
        """JSON, sorted by key; `{}` for a nil map too."""
        return go_json.encode(dict(self))


class OrderedMap(go_json.Ordered):
    """A property's own properties. JSON keeps their order; loops go by key, as over any map.

    In Go this is a pointer to a struct that a template can neither print nor loop over.
    """

    def go_string(self) -> str:
        """JSON, in the order of the request."""
        return go_json.encode(self)


class Tagged(go_json.Documented, Struct):
    """A struct whose fields have names of their own in JSON, as Go's struct tags give them."""

    __slots__ = ()
    json_names: ClassVar[Mapping[str, str]] = {}
    omitted_if_empty: ClassVar[frozenset[str]] = frozenset()

    def document(self) -> Any:
        """The fields by their JSON names, without those that are left out where empty."""
        empty = {name for name in self.omitted_if_empty if _is_omitted(name, self.fields[name])}
        return go_json.Ordered(
            {self.json_names[k]: value for k, value in self.fields.items() if k not in empty}
        )


def _is_omitted(name: str, value: Value) -> bool:
    """Empty texts and lists are left out; of the two fields that may hold anything, only null."""
    return value is None or (name not in ("Items", "Defs") and value in ("", []))


class Printed(Tagged):
    """A struct that prints as JSON.

    A deviation where a tool's function or its parameters are concerned: today's Ollama prints these
    in Go's own syntax. Widely used templates expect JSON, and their models were trained on it.
    """

    __slots__ = ()

    def go_string(self) -> str:
        """JSON, in the order of the fields."""
        return go_json.encode(self)


def from_json(value: Any) -> Value:
    """A value as Go reads it from JSON: every number is a float64."""
    if isinstance(value, dict):
        return {key: from_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [from_json(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value) if abs(value) < 1 << 1023 else math.copysign(math.inf, value)
    return value
