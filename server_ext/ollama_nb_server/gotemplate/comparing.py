"""How values compare: `eq`, `ne`, `lt`, `le`, `gt`, `ge`.

Owns which kinds may meet, and Go's errors where they may not.
"""

from __future__ import annotations

from collections.abc import Sequence

from ollama_nb_server.gotemplate.errors import FunctionFault
from ollama_nb_server.gotemplate.formatting import format_value, show
from ollama_nb_server.gotemplate.limits import COPIED_PER_STEP, Run
from ollama_nb_server.gotemplate.values import Struct, Value, is_nil, type_name
from ollama_nb_server.gotemplate.verbs import Spec


def _kind(value: Value) -> type | None:
    """The basic kind; None for nil, lists, maps and structs."""
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind
    return None


def equal(run: Run, arguments: Sequence[Value]) -> bool:
    """`eq a b c`: whether a equals any of the others."""
    first, *others = arguments
    if not others:
        raise FunctionFault("missing argument for comparison")
    return any(_same(run, first, other) for other in others)


def _same(run: Run, first: Value, other: Value) -> bool:
    kind = _kind(first)
    if kind is not _kind(other):
        if first is None or other is None:
            return False
        raise _incompatible(first, other)
    if kind is str:
        run.spend(len(first) // COPIED_PER_STEP)
    if kind is not None:
        return bool(first == other)
    return _same_whole(first, other)


def _incompatible(first: Value, other: Value) -> FunctionFault:
    types = f"{type_name(first)} and {type_name(other)}"
    return FunctionFault(f"incompatible types for comparison: {types}")


def _same_whole(first: Value, other: Value) -> bool:
    """Neither is of a basic kind: nil equals nil, and lists and maps equal nothing."""
    if is_nil(first) or is_nil(other):
        return is_nil(first) == is_nil(other)
    if _shape(first) is not _shape(other):
        types = f"{_as_text(first)}: {type_name(first)}, {type_name(other)}: {show(other)}"
        raise FunctionFault(f"non-comparable types {types}")
    if not isinstance(other, Struct) or not _is_comparable(other):
        raise FunctionFault(f"non-comparable type {_as_text(other)}: {type_name(other)}")
    return bool(first == other)


def _as_text(value: Value) -> str:
    """Go shows these values by `%s`, whatever is in them."""
    return format_value(value, Spec("s"))


def _shape(value: Value) -> type:
    return next((shape for shape in (Struct, dict, list) if isinstance(value, shape)), object)


def _is_comparable(struct: Struct) -> bool:
    return not any(isinstance(value, (list, dict)) for value in struct.fields.values())


def not_equal(run: Run, arguments: Sequence[Value]) -> bool:
    """`ne a b`."""
    return not _same(run, *arguments)


def _less(run: Run, first: Value, other: Value) -> bool:
    kinds = _kind(first), _kind(other)
    if None in kinds or kinds == (bool, bool):
        raise FunctionFault("invalid type for comparison")
    if kinds[0] is not kinds[1]:
        raise _incompatible(first, other)
    if kinds[0] is str:
        run.spend(len(first) // COPIED_PER_STEP)
    return bool(first < other)


def less_than(run: Run, arguments: Sequence[Value]) -> bool:
    """`lt a b`."""
    return _less(run, *arguments)


def less_or_equal(run: Run, arguments: Sequence[Value]) -> bool:
    """`le a b`."""
    return _less(run, *arguments) or _same(run, *arguments)


def greater_than(run: Run, arguments: Sequence[Value]) -> bool:
    """`gt a b`."""
    return not less_or_equal(run, arguments)


def greater_or_equal(run: Run, arguments: Sequence[Value]) -> bool:
    """`ge a b`."""
    return not _less(run, *arguments)
