"""Sizes are read off the first bytes of image files, before anything is decoded."""

import io
import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_nb_server.engine.errors import ImageRefused
from ollama_nb_server.engine.images.header import checked_header
from PIL import Image

WEBP = {"WEBP": {}, "WEBP-lossless": {"lossless": True}}
KINDS = {
    "PNG": {},
    "JPEG": {},
    "JPEG-progressive": {"progressive": True},
    "GIF": {},
    "BMP": {},
    **WEBP,
}


def written(kind: str, width: int, height: int, **more: object) -> bytes:
    file = io.BytesIO()
    name = kind.partition("-")[0]
    Image.new("RGB", (width, height), "red").save(file, name, **KINDS[kind], **more)
    return file.getvalue()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(1, 1), (37, 5), (300, 299)])
def test_the_size_of_a_file_is_what_was_written(kind, size):
    header = checked_header(written(kind, *size), 1)

    assert (header.width, header.height) == size
    assert header.format.upper() == kind.partition("-")[0]


def test_a_webp_with_an_icc_profile_tells_its_canvas():
    data = written("WEBP", 20, 30, icc_profile=b"x" * 128)

    assert data[12:16] == b"VP8X"
    assert checked_header(data, 1).width == 20


def test_a_jpeg_says_its_size_behind_long_segments_and_padding():
    data = written("JPEG", 40, 50)
    comment = b"\xff\xfe" + struct.pack(">H", 65_535) + b"\xff\xc0" * 32_766 + b"."
    padded = data[:2] + comment + b"\0\0junk" + b"\xff" * 5 + data[3:]

    assert checked_header(padded, 1).height == 50


def png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", width, height) + b"\x08\x02\0\0\0"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "it is empty"),
        (b"hi", "it is no image that can be read; send PNG, JPEG, GIF, BMP or WebP"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "it is a sound"),
        (b"ID3\x03" + b"\0" * 20, "it is a sound"),
        (b"\xff\xfb\x90\x64", "it is a sound"),
        (
            png(20_000, 20_000),
            "it has 20,000 x 20,000 pixels, more than 50,000,000; send it smaller",
        ),
        (png(40_000, 400), "no side may have more than 30,000"),
        (png(2_001, 10), "one side is more than 200 times the other"),
        (png(0, 10), "there is nothing to see"),
        (png(8, 8)[:20], "its header is cut off"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rCgBI" + b"\0" * 20, "its PNG header is broken"),
        (b"\xff\xd8\xff\xd9", "its JPEG header is broken"),
        (b"\xff\xd8" + b"\xff\xe0\0\2" * 20_000, "its JPEG header is broken"),
        (b"\xff\xd8" + b"\xff" * 1_000_000, "its header is cut off"),
        (b"\xff\xd8" + b"\xc0" * 1_000_000, "its JPEG header is broken"),
        (b"RIFF\x24\0\0\0WEBPVP9 " + b"\0" * 20, "its WebP header is broken"),
        (b"BM" + b"\0" * 12 + struct.pack("<Iii", 40, -5, 5), "there is nothing to see"),
    ],
)
def test_what_is_no_image_or_too_large_is_refused_in_a_sentence(data, reason):
    with pytest.raises(ImageRefused) as refused:
        checked_header(data, 2)

    assert str(refused.value).startswith("image 2: ")
    assert reason in str(refused.value)


@given(st.sampled_from(sorted(KINDS)), st.binary(max_size=60), st.data())
def test_nothing_but_a_refusal_comes_of_broken_bytes(kind, junk, data):
    whole = written(kind, 30, 20)
    cut = data.draw(st.integers(0, len(whole)))

    for broken in (whole[:cut], whole[:cut] + junk, junk):
        with suppress(ImageRefused):
            checked_header(broken, 1)
