"""What the first bytes of an image file tell: its format and its size, read before it is decoded.

Nothing is decoded here. Each reader takes the places where the decoder looks (stb_image, in
libmtmd), so that no file can tell one size here and have another there.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass

from ollama_nb_server.engine.errors import ImageRefused

MAX_IMAGE_PIXELS = 50_000_000  # a decoded one takes three bytes for each, several times over
MAX_IMAGE_SIDE = 30_000
MAX_ASPECT_RATIO = 200  # what models that keep it are trained with
FORMATS = "PNG, JPEG, GIF, BMP or WebP"

JPEG_SIZES = frozenset({0xC0, 0xC1, 0xC2})  # markers of frames that the decoder knows
JPEG_SKIPPED = frozenset({0xDB, 0xC4, 0xDD, 0xFE, *range(0xE0, 0xF0)})
JPEG_FILLING = re.compile(rb"\xff*")
MAX_JPEG_SEGMENTS = 10_000  # before the frame; cameras write a few dozen
WEBP_KEY_FRAME = b"\x9d\x01\x2a"


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """Format and size in pixels."""

    format: str
    width: int
    height: int


def checked_header(data: bytes, number: int) -> ImageHeader:
    """The header of the `number`-th image of a request, if it may be decoded.

    Raises
    ------
    ImageRefused
        If it is no image, or one of a size that harms.
    """
    try:
        header = read_header(data)
    except (ValueError, struct.error, IndexError) as error:
        reason = str(error) if type(error) is ValueError else "its header is cut off"
        raise ImageRefused(number, reason) from None
    checked_size(header.width, header.height, number)
    return header


def checked_size(width: int, height: int, number: int) -> None:
    """Refuse an image of a size that harms.

    Raises
    ------
    ImageRefused
    """
    if reason := _too_large(width, height):
        raise ImageRefused(number, reason)


def _too_large(width: int, height: int) -> str:
    told = f"it has {width:,} x {height:,} pixels"
    if width < 1 or height < 1:
        return f"{told}, so there is nothing to see"
    if width * height > MAX_IMAGE_PIXELS:
        return f"{told}, more than {MAX_IMAGE_PIXELS:,}; send it smaller"
    if max(width, height) > MAX_IMAGE_SIDE:
        return f"{told}, and no side may have more than {MAX_IMAGE_SIDE:,}; send it smaller"
    if max(width, height) > MAX_ASPECT_RATIO * min(width, height):
        return f"{told}: one side is more than {MAX_ASPECT_RATIO} times the other; cut it"
    return ""


def read_header(data: bytes) -> ImageHeader:
    """The header of an image file.

    Raises
    ------
    ValueError, struct.error, IndexError
        If it is none, or cut off.
    """
    if not data:
        raise ValueError("it is empty")
    if is_sound(data):
        raise ValueError("it is a sound (WAV, MP3 or FLAC), which this server cannot hear yet")
    for begins, name, size in READERS:
        if begins(data):
            return ImageHeader(name, *size(data))
    raise ValueError(f"it is no image that can be read; send {FORMATS}")


def is_sound(data: bytes) -> bool:
    """Whether libmtmd would take it for a sound."""
    wav = data[:4] == b"RIFF" and data[8:12] == b"WAVE"
    mpeg = len(data) > 1 and data[0] == 0xFF and data[1] & 0xE0 == 0xE0
    return wav or mpeg or data[:3] == b"ID3" or data[:4] == b"fLaC"


def _png(data: bytes) -> tuple[int, int]:
    if data[12:16] != b"IHDR":
        raise ValueError("its PNG header is broken")
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def _gif(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from("<HH", data, 6)
    return width, height


def _bmp(data: bytes) -> tuple[int, int]:
    (length,) = struct.unpack_from("<I", data, 14)
    width, height = struct.unpack_from("<HH" if length == 12 else "<ii", data, 18)
    return width, abs(height)


def _jpeg(data: bytes) -> tuple[int, int]:
    """The first frame's size; between segments, what is no marker is passed over."""
    at = 2
    for _ in range(MAX_JPEG_SEGMENTS):
        begin = data.find(b"\xff", at)
        filling = JPEG_FILLING.match(data, begin) if begin >= 0 else None
        if filling is None:
            break
        marker, at = data[filling.end()], filling.end() + 1
        if marker in JPEG_SIZES:
            height, width = struct.unpack_from(">HH", data, at + 3)
            return width, height
        if marker not in JPEG_SKIPPED:
            break
        at += max(struct.unpack_from(">H", data, at)[0], 2)
    raise ValueError("its JPEG header is broken, or of a kind that cannot be read")


def _webp(data: bytes) -> tuple[int, int]:
    kind = data[12:16]
    if kind == b"VP8X":
        flat = int.from_bytes(data[24:27], "little"), int.from_bytes(data[27:30], "little")
        return flat[0] + 1, flat[1] + 1
    if kind == b"VP8L" and data[20] == 0x2F:
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 " and data[23:26] == WEBP_KEY_FRAME:
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    raise ValueError("its WebP header is broken")


Reader = tuple[Callable[[bytes], bool], str, Callable[[bytes], tuple[int, int]]]
READERS: tuple[Reader, ...] = (
    (lambda data: data[:8] == b"\x89PNG\r\n\x1a\n", "PNG", _png),
    (lambda data: data[:2] == b"\xff\xd8", "JPEG", _jpeg),
    (lambda data: data[:6] in (b"GIF87a", b"GIF89a"), "GIF", _gif),
    (lambda data: data[:2] == b"BM", "BMP", _bmp),
    (lambda data: data[:4] == b"RIFF" and data[8:12] == b"WEBP", "WebP", _webp),
)
