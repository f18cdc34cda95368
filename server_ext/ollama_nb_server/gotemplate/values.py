"""Go's values as Python ones: which Python value stands for which, what is true, what it is called.

None is nil, bool is bool, int is int, float is float64, str is string, a list is a slice, a dict
with text keys is a map, a `Struct` is a struct; what is true in Go is true in Python. How values
print is `formatting`'s business.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Protocol, TypeAlias, runtime_checkable

Value: TypeAlias = Any
"""None | bool | int | float | str | list | dict | Struct | NilPointer."""


@runtime_checkable
class Stringer(Protocol):
    """A list, dict or Struct that prints in its own way, as a Go type with a method String."""

    def go_string(self) -> str:
        """What `{{ . }}`, `print` and `%v` write."""


class Struct:
    """A Go struct: a type's name and fields in order, all of them known.

    Parameters
    ----------
    type_name : str
        As Go writes it in errors: `api.Message`.
    fields : Mapping[str, Value]
        Every field by its Go name, in the order of the struct.
    """

    __slots__ = ("fields", "type_name")

    def __init__(self, type_name: str, fields: Mapping[str, Value]) -> None:
        self.type_name = type_name
        self.fields = dict(fields)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Struct):
            return NotImplemented
        return (self.type_name, self.fields) == (other.type_name, other.fields)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Struct({self.type_name!r}, {self.fields!r})"


class NilPointer:
    """A pointer of a known type that points nowhere: false, and an error to look into.

    Parameters
    ----------
    type_name : str
        The pointer's type as Go writes it: `*api.ToolFunction`.
    """

    __slots__ = ("type_name",)

    def __init__(self, type_name: str) -> None:
        self.type_name = type_name

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return f"NilPointer({self.type_name!r})"


class _NilElement:
    """What a loop's dot or variable holds for a nil element: nil, but an error to look into."""


NIL_ELEMENT: Final = _NilElement()
_TYPE_NAMES: Final = {
    bool: "bool", int: "int", float: "float64", str: "string", list: "[]interface {}",
    dict: "map[string]interface {}",
}  # fmt: skip


def type_name(value: Value) -> str:
    """The value's type as Go writes it. A subclass of list or dict may name its own: `go_type`."""
    name = _TYPE_NAMES.get(type(value))
    if name is not None:
        return name
    if isinstance(value, (Struct, NilPointer)):
        return value.type_name
    own = getattr(value, "go_type", None)
    if isinstance(own, str):
        return own
    if value is None:
        return "<nil>"
    return next((name for kind, name in _TYPE_NAMES.items() if isinstance(value, kind)), "func()")


def is_nil(value: Value) -> bool:
    """Whether it is nil, of a known type or not."""
    return value is None or isinstance(value, NilPointer)


def sorted_items(value: Mapping[str, Value]) -> Iterator[tuple[str, Value]]:
    """A map's entries as Go prints and loops over them: by key."""
    return ((key, value[key]) for key in sorted(value))
