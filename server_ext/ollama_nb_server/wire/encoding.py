"""JSON as it goes out: one line, whatever a reader takes for the end of a line.

The only place that encodes what clients read; fields and their order are each message's own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import orjson

PIECE_VALUES = 4096  # numbers of an array: a third of a millisecond
PIECE_ITEMS = 256  # of a list
LARGE_VALUES = 16_384  # an answer of more is written in pieces

# Python's `splitlines`, and so every NDJSON reader built on it, ends a line at these as well. JSON
# lets them stand in a text as they are; the others that end a line, it escapes anyway.
LINE_ENDS = (
    (b"\xc2\x85", b"\\u0085"),
    (b"\xe2\x80\xa8", b"\\u2028"),
    (b"\xe2\x80\xa9", b"\\u2029"),
)


def encoded(document: Any) -> bytes:
    """A document in UTF-8; NumPy's arrays are lists, 32-bit floats in their shortest form."""
    try:
        text = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
    except orjson.JSONEncodeError:
        text = _slowly(document)
    for letter, escape in LINE_ENDS:
        text = text.replace(letter, escape)
    return text


def pieces(document: Mapping[str, Any]) -> Iterator[bytes]:
    """The same bytes one after another, none of which takes longer than a moment to make.

    orjson lets no other thread run while it works: a long list would hold everybody up.
    """
    separator = b"{"
    for name, value in document.items():
        yield separator + encoded(name) + b":"
        yield from _list_pieces(value) if isinstance(value, list | np.ndarray) else [encoded(value)]
        separator = b","
    yield b"}" if document else b"{}"


def _list_pieces(values: Any) -> Iterator[bytes]:
    at_once = PIECE_ITEMS
    if isinstance(values, np.ndarray):
        at_once = max(1, PIECE_VALUES * len(values) // max(values.size, 1))
    yield b"["
    for at in range(0, len(values), at_once):
        yield (b"," if at else b"") + encoded(values[at : at + at_once])[1:-1]
    yield b"]"


def _slowly(document: Any) -> bytes:
    """With what orjson refuses: long numbers, and lone surrogates (undecodable file names)."""
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
