"""Pictures for a model, made of what a notebook has: files, bytes, figures, images, arrays.

An array's pixels become a PNG in `pixels`; how a picture is shown is in `thumbnails`.
"""

from __future__ import annotations

import base64
import binascii
import io
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ollama_nb.errors import NotAPicture
from ollama_nb.sizes import in_words

if TYPE_CHECKING:
    from collections.abc import Iterable

SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp")
BEGINNINGS = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
    b"BM": "image/bmp",
}
# What a PNG holds as it is; other modes of Pillow, such as CMYK, are converted.
PNG_MODES = ("1", "L", "LA", "I", "I;16", "P", "RGB", "RGBA")


class Picture(str):
    """A picture as Ollama's API takes it: a `str` of base64, which shows itself in a notebook.

    Attributes
    ----------
    media_type : str
        Such as `image/png`.
    name : str
        The variable or the file that it was made of.
    """

    media_type: str
    name: str

    def __new__(cls, encoded: str = "", *, media_type: str = "", name: str = "") -> Picture:
        """Make the string and put the facts beside it; copy and pickle fill them in later."""
        self = super().__new__(cls, encoded)
        self.media_type = media_type
        self.name = name
        return self

    @property
    def data(self) -> bytes:
        """The picture's file."""
        return base64.b64decode(self)

    @property
    def caption(self) -> str:
        """Name, kind and size, as in `plot.png: PNG, 23.4 kB`."""
        kind = self.media_type.partition("/")[2].upper()
        return f"{self.name}: {kind}, {in_words(len(self) * 3 // 4)}"

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return {self.media_type: str.__str__(self), "text/plain": repr(self)}

    def __repr__(self) -> str:
        return f"<Picture {self.caption}>"


def pictures_of(values: Any, called: str = "images") -> list[Picture]:
    """Return the pictures of a call's `images=`; one that is no list is a list of one.

    Raises
    ------
    NotAPicture
        For the first that is none.
    """
    if values is None:
        return []
    if not isinstance(values, list | tuple):
        return [picture_of(values, called)]
    return [picture_of(value, f"{called}[{place}]") for place, value in enumerate(values)]


def picture_of(value: Any, called: str) -> Picture:
    """Turn a value into a picture.

    Parameters
    ----------
    value
        A path, the bytes of a file, a PIL image, a matplotlib figure or axes, a NumPy array of
        pixels, a `data:` URL, base64, or anything that shows itself as PNG or JPEG.
    called
        What an error calls it: the name of the variable.

    Raises
    ------
    NotAPicture
        For anything else, a file that is not there, bytes of another kind.
    """
    if isinstance(value, Picture):
        return value
    if isinstance(value, os.PathLike):
        return _of_file(Path(value), called)
    if isinstance(value, str):
        return _of_text(value, called)
    data = _bytes_of(value, called)
    if data is None:
        raise NotAPicture(f"{called} is {_kind(value)}, which is no picture")
    return _of_bytes(data, called)


def _kind(value: Any) -> str:
    return f"the module {value.__name__}" if isinstance(value, ModuleType) else type(value).__name__


def _bytes_of(value: Any, called: str) -> bytes | None:
    """Return the file of a picture that is an object; None for what is no picture."""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if isinstance(value, ModuleType):  # pyplot has a `savefig` too, of a figure that may be gone
        return None
    if (numpy := sys.modules.get("numpy")) and isinstance(value, numpy.ndarray):
        from ollama_nb.pictures.pixels import png_of

        return png_of(value, called)
    if (pil := sys.modules.get("PIL.Image")) and isinstance(value, pil.Image):
        return _saved(value if value.mode in PNG_MODES else value.convert("RGB"), "save")
    if (figure := _figure_of(value)) is not None:
        return _saved(figure, "savefig")
    return _shown_as(value)


def _figure_of(value: Any) -> Any:
    """Return the figure of axes, of a subfigure, of a grid of seaborn, or the figure itself."""
    seen = 0
    while value is not None and not callable(getattr(value, "savefig", None)) and seen < 3:
        value, seen = getattr(value, "figure", None), seen + 1
    return value if callable(getattr(value, "savefig", None)) else None


def _saved(image: Any, method: str) -> bytes:
    file = io.BytesIO()
    getattr(image, method)(file, format="png")
    return file.getvalue()


def _shown_as(value: Any) -> bytes | None:
    """Ask an object for what it would show in a notebook."""
    for method in ("_repr_png_", "_repr_jpeg_"):
        shown = getattr(value, method, lambda: None)()
        shown = shown[0] if isinstance(shown, tuple) else shown
        if shown is not None:
            return shown if isinstance(shown, bytes) else base64.b64decode(shown)
    return None


def _of_file(path: Path, called: str) -> Picture:
    try:
        data = path.expanduser().read_bytes()
    except FileNotFoundError:
        raise NotAPicture(f"{called}: there is no file {str(path)!r} in {Path.cwd()}") from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise NotAPicture(f"{called}: {str(path)!r} cannot be read ({reason})") from None
    return _of_bytes(data, called, path.name)


def _of_text(text: str, called: str) -> Picture:
    """A path, a `data:` URL, or base64 as it stands in a message of Ollama's API."""
    if text.startswith("data:"):
        head, _, text = text.partition(",")
        if not head.endswith(";base64"):
            raise NotAPicture(f"{called} is a data: URL without base64")
    elif len(text) < 1000 and (_looks_like_path(text) or Path(text).expanduser().is_file()):
        return _of_file(Path(text), called)
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise NotAPicture(f"{called} is a text that is neither a path nor base64") from None
    return _of_bytes(data, called)


def _looks_like_path(text: str) -> bool:
    return text.lower().endswith(SUFFIXES)


def _of_bytes(data: bytes, called: str, name: str = "") -> Picture:
    media_type = media_type_of(data)
    if media_type is None:
        begin = f"begins with {data[:8]!r}" if data else "is empty"
        raise NotAPicture(f"{called} {begin}, which is not PNG, JPEG, GIF, WebP or BMP")
    encoded = base64.b64encode(data).decode()
    return Picture(encoded, media_type=media_type, name=name or called)


def media_type_of(data: bytes) -> str | None:
    """Tell the kind of a file by its beginning, as servers do."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    found: Iterable[str] = (kind for begin, kind in BEGINNINGS.items() if data.startswith(begin))
    return next(iter(found), None)
