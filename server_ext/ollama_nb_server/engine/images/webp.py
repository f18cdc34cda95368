"""WebP images, which libmtmd does not decode: Pillow does.

Pillow is brought in when the first one comes.
"""

from __future__ import annotations

from io import BytesIO

from ollama_nb_server.engine.errors import ImageRefused
from ollama_nb_server.engine.images.header import checked_size

INSTALL = "Pillow is not installed, which reads WebP: pip install 'ollama-nb[server]'"


def webp_pixels(data: bytes, number: int) -> tuple[int, int, bytes]:
    """Width, height, and the first picture's red, green and blue bytes.

    Raises
    ------
    ImageRefused
        If it cannot be decoded, with Pillow's reason.
    """
    try:
        from PIL import Image
    except ImportError:
        raise ImageRefused(number, INSTALL) from None
    try:
        with Image.open(BytesIO(data), formats=["WEBP"]) as image:
            checked_size(image.width, image.height, number)
            return image.width, image.height, image.convert("RGB").tobytes()
    except ImageRefused:
        raise
    except Exception as error:  # whatever a decoder meets in a broken file
        raise ImageRefused(number, f"decode WebP image: {error}") from error
