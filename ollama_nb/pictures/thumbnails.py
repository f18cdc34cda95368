"""Pictures that go with a question as they are shown: small, for a notebook keeps its outputs.

With Pillow they are shrunk; without it small files are shown as they are, others by their name.
"""

from __future__ import annotations

import base64
import io
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ollama_nb.pictures.picture import Picture

LONGEST_SIDE = 320
MAX_UNSHRUNK_BYTES = 200_000
FORMATS = {"image/jpeg": "JPEG"}  # anything else is shrunk to a PNG


def bundle(picture: Picture) -> dict[str, Any]:
    """Return a small version of a picture, and its caption."""
    return {**_image(picture), "text/plain": picture.caption}


def _image(picture: Picture) -> dict[str, str]:
    """Return the image to show, in base64 as Jupyter has it; empty if it had better not be kept."""
    try:
        from PIL import Image
    except ImportError:
        small = len(picture) * 3 // 4 <= MAX_UNSHRUNK_BYTES
        return {picture.media_type: str(picture)} if small else {}
    kind = FORMATS.get(picture.media_type, "PNG")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # Pillow's, of a picture with too many pixels
            image = Image.open(io.BytesIO(picture.data))
            image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    except (OSError, ValueError, SyntaxError, Warning, Image.DecompressionBombError):
        return {}  # whether a model can read it, the server says
    file = io.BytesIO()
    image.save(file, kind)
    return {f"image/{kind.lower()}": base64.b64encode(file.getvalue()).decode()}
