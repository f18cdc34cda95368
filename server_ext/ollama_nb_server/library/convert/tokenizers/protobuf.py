"""Reads the wire format of protocol buffers: fields of one message, within its bounds.

Source: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
MAX_VARINT_BYTES = 10


class NotProtobuf(ValueError):
    """Bytes that are no message."""


def fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Number and raw value of each field, in order; groups are not in use.

    Raises
    ------
    NotProtobuf
        If a field is of no known kind, or longer than the message.
    """
    place = 0
    while place < len(data):
        tag, place = _varint(data, place)
        kind = tag & 7
        if kind == VARINT:
            value, place = _varint(data, place)
            yield tag >> 3, value
            continue
        if kind == BYTES:
            length, place = _varint(data, place)
        elif kind in (FIXED32, FIXED64):
            length = 4 if kind == FIXED32 else 8
        else:
            raise NotProtobuf(f"a field of kind {kind} at byte {place}")
        if length > len(data) - place:
            raise NotProtobuf(f"a field of {length} bytes at byte {place} is longer than the file")
        yield tag >> 3, data[place : place + length]
        place += length


def _varint(data: memoryview, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(MAX_VARINT_BYTES):
        if place >= len(data):
            raise NotProtobuf("the file ends inside a number")
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << (7 * shift)
        if not byte & 0x80:
            return value, place
    raise NotProtobuf(f"a number before byte {place} is too long")


def float32(value: int | memoryview) -> float:
    """A field as a number."""
    if isinstance(value, int) or len(value) != struct.calcsize("<f"):
        raise NotProtobuf("a number is not 4 bytes long")
    return float(struct.unpack("<f", value)[0])


def whole(value: int | memoryview) -> int:
    """A field as a whole number."""
    if not isinstance(value, int):
        raise NotProtobuf("a whole number is stored as bytes")
    return value


def raw(value: int | memoryview) -> bytes:
    """A field as bytes."""
    if isinstance(value, int):
        raise NotProtobuf("bytes are stored as a number")
    return bytes(value)
