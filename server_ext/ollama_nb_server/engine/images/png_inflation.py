"""How much a PNG's data become when they are inflated, before a decoder does that.

Deflate packs a thousand bytes into one, and the decoder (stb_image, in libmtmd) makes room for
whatever comes: a file of some megabytes could take all the memory there is.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from ollama_nb_server.engine.errors import ImageRefused
from ollama_nb_server.engine.images.header import ImageHeader

MAX_RATIO = 1032  # of inflated bytes to deflated ones
HARMLESS_BYTES = 256 << 20
MAX_PIXEL_BYTES = 8  # four channels of 16 bits
STEP_BYTES = 1 << 20


def check_inflation(data: bytes, header: ImageHeader, number: int) -> None:
    """Refuse a PNG whose data become more than pixels of its size can be.

    Raises
    ------
    ImageRefused
    """
    if len(data) * MAX_RATIO <= HARMLESS_BYTES:
        return
    rows = 2 * header.height + 16  # interlaced ones have more, and smaller ones
    room = MAX_PIXEL_BYTES * header.width * header.height + MAX_PIXEL_BYTES * rows
    for inflated in _inflated(data):
        room -= inflated
        if room < 0:
            raise ImageRefused(number, "its PNG data are more than its pixels can be")


def _inflated(data: bytes) -> Iterator[int]:
    """Numbers of bytes that come out, in steps; broken data end it, which the decoder will tell."""
    stream = zlib.decompressobj()
    try:
        for packed in _data_chunks(data):
            while packed:
                yield len(stream.decompress(packed, STEP_BYTES))
                packed = stream.unconsumed_tail
    except zlib.error:
        return


def _data_chunks(data: bytes) -> Iterator[bytes]:
    at = 8
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"IDAT":
            yield data[at + 8 : at + 8 + length]
        at += 12 + length
