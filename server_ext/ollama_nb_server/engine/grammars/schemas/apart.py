"""Whether two JSON Schemas can both fit one answer, as far as that can be told without trying.

For `oneOf`, which wants exactly one to fit. A yes is a proof; a no is only the lack of one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from ollama_nb_server.engine.grammars.schemas.keywords import COMBINED

KINDS = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
    type(None): "null",
}
MOST_DEPTH = 8  # of properties that are compared, and of references that are followed
MOST_COMPARISONS = 50_000  # half a second: each schema with each other one, and what is in them

Resolve = Callable[[Any], Any]


def exclusive(branches: list[Any], resolve: Resolve, *, closed: bool) -> bool:
    """Whether an answer to any of these fits none of the others.

    `closed`: answers have no properties but listed ones, though the schemas may allow them.
    `resolve` follows a schema's reference if it is nothing but one.
    """
    compared = _Compared(resolve, closed)
    return compared.marked(branches) or all(
        compared.apart(one, other)
        for place, one in enumerate(branches)
        for other in [*branches[:place], *branches[place + 1 :]]
    )


@dataclass(frozen=True, slots=True)
class _Read:
    """A schema (kept, so that its id stays its own), its types, and its values if listed."""

    schema: dict[str, Any]
    kinds: frozenset[str]
    values: frozenset[bytes] | None


class _Compared:
    def __init__(self, resolve: Resolve, closed: bool) -> None:
        self._resolve, self._closed = resolve, closed
        self._left = MOST_COMPARISONS
        self._read: dict[int, _Read] = {}  # by the schemas' ids

    def marked(self, branches: list[Any]) -> bool:
        """Whether each has values of its own, or is an object with a property that has.

        The usual ways to tell many apart, found without a comparison of each with each other one.
        """
        schemas = [self._resolve(branch) for branch in branches]
        if self._distinct(schemas):
            return True
        if not all(isinstance(each, dict) and _kinds(each) == {"object"} for each in schemas):
            return False
        names = set(_required(schemas[0])).intersection(*map(_required, schemas))
        return any(self._distinct([self._property(s, name) for s in schemas]) for name in names)

    def _distinct(self, schemas: list[Any]) -> bool:
        """Whether all list their values, and no value comes twice."""
        seen: set[bytes] = set()
        for schema in map(self._resolve, schemas):
            values = self._of(schema).values if isinstance(schema, dict) else None
            if values is None or not seen.isdisjoint(values):
                return False
            seen |= values
        return bool(schemas)

    def _of(self, schema: dict[str, Any]) -> _Read:
        """What a schema says, read once."""
        if id(schema) not in self._read:
            self._read[id(schema)] = _Read(schema, frozenset(_kinds(schema)), _values(schema))
        return self._read[id(schema)]

    def apart(self, one: Any, other: Any, depth: int = 0) -> bool:
        """Whether no answer to `one` fits `other`."""
        one, other = self._resolve(one), self._resolve(other)
        if one is False or other is False:
            return True
        self._left -= 1
        if (
            self._left < 0
            or depth > MOST_DEPTH
            or not (isinstance(one, dict) and isinstance(other, dict))
        ):
            return False
        if self._parts_apart(one, other, depth) or self._values_apart(one, other):
            return True
        common = self._of(one).kinds & self._of(other).kinds
        return not common or (common == {"object"} and self._objects_apart(one, other, depth))

    def _parts_apart(self, one: dict[str, Any], other: dict[str, Any], depth: int) -> bool:
        """By what they are composed of: all of one choice, or any of what must hold together."""
        for keyword in ("anyOf", "oneOf"):
            mine, theirs = one.get(keyword), other.get(keyword)
            if isinstance(mine, list) and all(self.apart(p, other, depth + 1) for p in mine):
                return True
            if isinstance(theirs, list) and all(self.apart(one, p, depth + 1) for p in theirs):
                return True
        mine, theirs = one.get("allOf", ()), other.get("allOf", ())
        return any(self.apart(p, other, depth + 1) for p in mine if isinstance(mine, list)) or any(
            self.apart(one, p, depth + 1) for p in theirs if isinstance(theirs, list)
        )

    def _values_apart(self, one: dict[str, Any], other: dict[str, Any]) -> bool:
        mine, theirs = self._of(one).values, self._of(other).values
        return mine is not None and theirs is not None and mine.isdisjoint(theirs)

    def _objects_apart(self, one: dict[str, Any], other: dict[str, Any], depth: int) -> bool:
        """By a property that an answer to both would need, and that one of them cannot have."""
        needed = [*_required(one), *_required(other)]
        return any(
            self.apart(
                self._property(one, name, self._closed), self._property(other, name), depth + 1
            )
            for name in needed
        )

    @staticmethod
    def _property(schema: dict[str, Any], name: str, closed: bool = False) -> Any:
        """What a property must be; true if anything."""
        listed = schema.get("properties")
        if isinstance(listed, dict) and name in listed:
            return listed[name]
        if "patternProperties" in schema:
            return True
        wide = schema.keys() & COMBINED or name in _required(schema)
        closed = closed and isinstance(listed, dict) and not wide
        return schema.get("additionalProperties", not closed)


def _required(schema: dict[str, Any]) -> list[str]:
    names = schema.get("required", [])
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def _kinds(schema: dict[str, Any]) -> set[str]:
    """The types that an answer can have; an integer is a number too."""
    wanted = schema.get("type", list(KINDS.values()))
    kinds = set(wanted if isinstance(wanted, list) else [wanted])
    kinds |= {"integer"} if "number" in kinds else set()
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    return kinds & {KINDS[type(_number(v))] for v in values} if isinstance(values, list) else kinds


def _values(schema: dict[str, Any]) -> frozenset[bytes] | None:
    """The only values there are, if they are listed."""
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    if not isinstance(values, list):
        return None
    return frozenset(orjson.dumps(_number(v), option=orjson.OPT_SORT_KEYS) for v in values)


def _number(value: Any) -> Any:
    """The same with 1.0 as 1, which JSON Schema takes for equal (also inside of lists)."""
    if isinstance(value, list):
        return [_number(v) for v in value]
    if isinstance(value, dict):
        return {name: _number(v) for name, v in value.items()}
    return int(value) if isinstance(value, float) and value.is_integer() else value
