"""Fields of values, one after the other: `.A.B` of a map, a struct, nil.

Owns what a missing one means. Where the error is said to be is `expressions`' business.
"""

from __future__ import annotations

from collections.abc import Sequence

from ollama_nb_server.gotemplate.errors import FunctionFault
from ollama_nb_server.gotemplate.values import (
    NIL_ELEMENT,
    NilPointer,
    Struct,
    Value,
    type_name,
)

ANY = "interface {}"


def follow(value: Value, names: Sequence[str]) -> Value:
    """The field of the field. Of plain nil every field is nil; of a field that is nil none is.

    Raises
    ------
    FunctionFault
        With Go's reason.
    """
    if value is None:
        return None
    parent: Value = None
    for name in names:
        parent, value = value, get(value, name, parent)
    return value


def get(value: Value, name: str, parent: Value = None) -> Value:
    """One field; `parent` is what the value itself was a field of."""
    if isinstance(value, Struct):
        if name in value.fields:
            return value.fields[name]
    elif isinstance(value, dict):
        return value.get(name)
    elif value is None or value is NIL_ELEMENT:
        raise FunctionFault(f"nil pointer evaluating {ANY}.{name}")
    elif isinstance(value, NilPointer):
        raise FunctionFault(f"nil pointer evaluating {value.type_name}.{name}")
    # Go says what the map's elements are declared as, and forgets what this one is
    kind = ANY if isinstance(parent, dict) else type_name(value)
    raise FunctionFault(f"can't evaluate field {name} in type {kind}")


def call(value: Value, names: Sequence[str]) -> Value:
    """A field that is given arguments as if it were a method: never right, unless it is nil's."""
    *path, name = names
    parent = follow(value, path[:-1]) if path else None
    receiver = get(parent, path[-1]) if path and parent is not None else follow(value, path)
    if receiver is None and value is None:
        return None
    if isinstance(receiver, dict):
        raise FunctionFault(f"{name} is not a method but has arguments")
    if isinstance(receiver, Struct) and name in receiver.fields:
        raise FunctionFault(f"{name} has arguments but cannot be invoked as function")
    return get(receiver, name, parent)
