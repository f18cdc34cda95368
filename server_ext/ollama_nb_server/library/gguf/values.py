"""Values of the metadata: short ones are kept, of long arrays only the place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ollama_nb_server.library.errors import NotGGUF
from ollama_nb_server.library.gguf.cursor import STRUCTS, Cursor
from ollama_nb_server.library.gguf.tables import ARRAY, STRING

MAX_DEPTH = 4
ITEMS_OF_A_HEAD = 32  # reading what an array holds takes as long as skipping so many texts
SHORT_ARRAY = 64  # arrays up to this length are kept, longer ones are skipped


@dataclass(frozen=True, slots=True)
class LongArray:
    """Stands for an array that was skipped: where it lies, what it holds, how many."""

    offset: int
    kind: int
    length: int


def read_value(cursor: Cursor, kind: int) -> Any:
    """The value that begins here; LongArray for an array that is not short.

    Raises
    ------
    NotGGUF
        If it cannot be, or is more than a header may hold.
    """
    return _value(cursor, kind, 0)


def _value(cursor: Cursor, kind: int, depth: int) -> Any:
    if kind == STRING:
        return cursor.text()
    if kind == ARRAY:
        return _array(cursor, depth + 1)
    cursor.keep(0)
    return cursor.scalar(kind)


def _array(cursor: Cursor, depth: int) -> Any:
    kind, length = _array_head(cursor, depth)
    if length <= SHORT_ARRAY:
        return [_value(cursor, kind, depth) for _ in range(length)]
    found = LongArray(cursor.place, kind, length)
    _skip(cursor, kind, length, depth)
    return found


def _array_head(cursor: Cursor, depth: int) -> tuple[int, int]:
    """What an array holds, and how much of it."""
    if depth > MAX_DEPTH:
        raise NotGGUF(f"arrays are nested more than {MAX_DEPTH} deep")
    kind, length = cursor.u32(), cursor.u64()
    if kind not in STRUCTS and kind not in (STRING, ARRAY):
        raise NotGGUF(f"an array holds values of type {kind}, which is unknown")
    cursor.count_items(ITEMS_OF_A_HEAD + length)
    return kind, length


def _skip(cursor: Cursor, kind: int, length: int, depth: int) -> None:
    if kind == STRING:
        cursor.skip_texts(length)
    elif kind == ARRAY:
        for _ in range(length):
            _skip(cursor, *_array_head(cursor, depth + 1), depth + 1)
    else:
        cursor.skip(length * STRUCTS[kind].size)


def read_array(cursor: Cursor, array: LongArray) -> Any:
    """All of an array that was skipped: a list, or a NumPy array of numbers."""
    return _whole(cursor, array.kind, array.length, 1)


def _whole(cursor: Cursor, kind: int, length: int, depth: int) -> Any:
    if kind == STRING:
        return cursor.texts(length)
    if kind == ARRAY:
        heads = (_array_head(cursor, depth + 1) for _ in range(length))
        return [_whole(cursor, *head, depth + 1) for head in heads]
    return cursor.numbers(kind, length)
