"""An array of pixels as a PNG file, by NumPy and zlib alone."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any

from ollama_nb.errors import NotAPicture

if TYPE_CHECKING:
    import numpy as np

SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOUR_TYPES = {1: 0, 3: 2, 4: 6}  # channels -> what PNG calls grey, RGB and RGBA


def png_of(array: np.ndarray[Any, Any], called: str) -> bytes:
    """Encode an array of shape (height, width) or (height, width, 3 or 4).

    Parameters
    ----------
    array
        uint8 from 0 to 255, floats from 0 to 1, or bool.
    called
        What an error calls it.

    Raises
    ------
    NotAPicture
        For another shape or type, and for numbers beyond these bounds.
    """
    channels = {2: 1, 3: array.shape[-1]}.get(array.ndim, 0)
    if channels not in COLOUR_TYPES or 0 in array.shape or (array.ndim == 3 and channels == 1):
        raise NotAPicture(
            f"{called} is an array of shape {array.shape}; pixels are (height, width), "
            "(height, width, 3) or (height, width, 4)"
        )
    pixels = _as_bytes(array, called)
    height, width = array.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, 8, COLOUR_TYPES[channels], 0, 0, 0)
    return SIGNATURE + b"".join(
        _chunk(kind, data)
        for kind, data in (
            (b"IHDR", header),
            (b"IDAT", zlib.compress(_rows(pixels), 6)),
            (b"IEND", b""),
        )
    )


def _as_bytes(array: np.ndarray[Any, Any], called: str) -> np.ndarray[Any, Any]:
    import numpy as np

    if array.dtype == np.uint8:
        return array
    if array.dtype == bool:
        return array.astype(np.uint8) * 255
    if array.dtype.kind != "f":
        raise NotAPicture(
            f"{called} is an array of {array.dtype}; pixels are uint8 from 0 to 255 or floats "
            "from 0 to 1, as .astype('uint8') gives them"
        )
    if not (np.isfinite(array).all() and array.min() >= 0 and array.max() <= 1):
        raise NotAPicture(
            f"{called} is an array of floats from {array.min():g} to {array.max():g}; as pixels "
            "they go from 0 to 1"
        )
    pixels: np.ndarray[Any, Any] = np.rint(array * 255).astype(np.uint8)
    return pixels


def _rows(pixels: np.ndarray[Any, Any]) -> bytes:
    """Put a zero before each row, which says that it is not filtered."""
    import numpy as np

    flat = pixels.reshape(pixels.shape[0], -1)
    return np.hstack([np.zeros((len(flat), 1), np.uint8), flat]).tobytes()


def _chunk(kind: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)
