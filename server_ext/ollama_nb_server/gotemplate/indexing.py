"""Parts of values: `len`, `index`, `slice`.

Owns what an index may be. Strings are counted and cut by the bytes of their UTF-8, as in Go.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

from ollama_nb_server.gotemplate.errors import FunctionFault
from ollama_nb_server.gotemplate.limits import CHARS_PER_STEP, COPIED_PER_STEP, Run
from ollama_nb_server.gotemplate.quoting import from_bytes, num_bytes, to_bytes
from ollama_nb_server.gotemplate.values import NilPointer, Value, is_nil, type_name


def length(run: Run, arguments: Sequence[Value]) -> int:
    """`len x`."""
    value = arguments[0]
    if isinstance(value, str):
        _spend_on_text(run, value)
        return num_bytes(value)
    if isinstance(value, (list, dict)):
        return len(value)
    if is_nil(value):
        raise FunctionFault("len of nil pointer")
    raise FunctionFault(f"len of type {_pointed_to(value)}")


def _pointed_to(value: Value) -> str:
    """The type of what a pointer points to: most structs come as pointers."""
    return type_name(value).removeprefix("*")


def index(run: Run, arguments: Sequence[Value]) -> Value:
    """`index x 1 2`: the item of the item. A key that is not there gives nil."""
    value, *indexes = arguments
    if value is None:
        raise FunctionFault("index of untyped nil")
    for each in indexes:
        value = _item(run, value, each)
    return value


def _item(run: Run, value: Value, index: Value) -> Value:
    if is_nil(value):
        raise FunctionFault("index of nil pointer")
    if isinstance(value, dict):
        return value.get(_key(index))
    if isinstance(value, str):
        _spend_on_text(run, value)
        raw = to_bytes(value)
        return raw[_inside(_position(index, len(raw)), len(raw), "string")]
    if isinstance(value, list):
        return value[_inside(_position(index, len(value)), len(value), "slice")]
    raise FunctionFault(f"can't index item of type {_pointed_to(value)}")


def _key(index: Value) -> str:
    if index is None:
        raise FunctionFault("value is nil; should be of type string")
    if not isinstance(index, str):
        raise FunctionFault(f"value has type {type_name(index)}; should be string")
    return index


def _inside(index: int, length: int, shape: str) -> int:
    """An index that is not the end, which Go finds out later than the rest."""
    if index == length:
        raise FunctionFault(f"reflect: {shape} index out of range")
    return index


def _position(index: Value, length: int) -> int:
    """An index of a list or a string; slices may also name the end."""
    if index is None:
        raise FunctionFault("cannot index slice/array with nil")
    if isinstance(index, bool) or not isinstance(index, int):
        raise FunctionFault(f"cannot index slice/array with type {type_name(index)}")
    if not 0 <= index <= length:
        raise FunctionFault(f"index out of range: {index}")
    return index


def cut(run: Run, arguments: Sequence[Value]) -> Value:
    """`slice x 1 2`."""
    value, *indexes = arguments
    if value is None:
        raise FunctionFault("slice of untyped nil")
    if isinstance(value, NilPointer):
        raise FunctionFault("slice of nil pointer")
    if len(indexes) > 3:
        raise FunctionFault(f"too many slice indexes: {len(indexes)}")
    if isinstance(value, str):
        if len(indexes) == 3:
            raise FunctionFault("cannot 3-index slice a string")
        return _slice_text(run, value, indexes)
    if not isinstance(value, list):
        raise FunctionFault(f"can't slice item of type {_pointed_to(value)}")
    run.spend(len(value) // COPIED_PER_STEP)
    return _slice_list(value, *_ends(indexes, len(value)))


def _slice_list(value: list[Value], start: int, end: int) -> list[Value]:
    """A slice is of the same type: it prints in the same way."""
    if type(value) is list:
        return value[start:end]
    part = copy.copy(value)
    part[:] = value[start:end]
    return part


def _slice_text(run: Run, text: str, indexes: Sequence[Value]) -> str:
    """By bytes: the halves of a character that is cut through stay what they are."""
    _spend_on_text(run, text)
    if text.isascii():
        start, end = _ends(indexes, len(text))
        return text[start:end]
    raw = to_bytes(text)
    start, end = _ends(indexes, len(raw))
    return from_bytes(raw[start:end])


def _ends(indexes: Sequence[Value], length: int) -> tuple[int, int]:
    positions = [_position(index, length) for index in indexes]
    start, end, *capacity = [*positions, *(0, length)[len(positions) :]]
    if start > end:
        raise FunctionFault(f"invalid slice index: {start} > {end}")
    if capacity and end > capacity[0]:
        raise FunctionFault(f"invalid slice index: {end} > {capacity[0]}")
    return start, end


def _spend_on_text(run: Run, text: str) -> None:
    run.spend(len(text) // CHARS_PER_STEP)
