"""Whether two JSON Schemas can both fit one answer, as far as that can be told without trying.

For `oneOf`, which wants exactly one to fit. A yes is a proof; a no is only the lack of one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

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

Resolve = Callable[[Any], Any]


def exclusive(branches: list[Any], resolve: Resolve, *, closed: bool) -> bool:
    """Whether an answer to any of these fits none of the others.

    `closed`: answers have no properties but listed ones, though the schemas may allow them.
    `resolve` follows a schema's reference if it is nothing but one.
    """
    compared = _Compared(resolve, closed)
    return all(
        compared.apart(one, other)
        for place, one in enumerate(branches)
        for other in [*branches[:place], *branches[place + 1 :]]
    )


class _Compared:
    def __init__(self, resolve: Resolve, closed: bool) -> None:
        self._resolve, self._closed = resolve, closed

    def apart(self, one: Any, other: Any, depth: int = 0) -> bool:
        """Whether no answer to `one` fits `other`."""
        one, other = self._resolve(one), self._resolve(other)
        if one is False or other is False:
            return True
        if depth > MOST_DEPTH or not (isinstance(one, dict) and isinstance(other, dict)):
            return False
        if self._parts_apart(one, other, depth) or self._values_apart(one, other):
            return True
        common = _kinds(one) & _kinds(other)
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

    @staticmethod
    def _values_apart(one: dict[str, Any], other: dict[str, Any]) -> bool:
        mine, theirs = _values(one), _values(other)
        return mine is not None and theirs is not None and not mine & theirs

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
        return schema.get("additionalProperties", not (closed and isinstance(listed, dict)))


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


def _values(schema: dict[str, Any]) -> set[bytes] | None:
    """The only values there are, if they are listed."""
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    if not isinstance(values, list):
        return None
    return {orjson.dumps(_number(v), option=orjson.OPT_SORT_KEYS) for v in values}


def _number(value: Any) -> Any:
    """The same with 1.0 as 1, which JSON Schema takes for equal (also inside of lists)."""
    if isinstance(value, list):
        return [_number(v) for v in value]
    if isinstance(value, dict):
        return {name: _number(v) for name, v in value.items()}
    return int(value) if isinstance(value, float) and value.is_integer() else value
