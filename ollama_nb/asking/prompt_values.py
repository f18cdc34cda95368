"""What a value of a notebook becomes in a prompt: text, or a picture that goes with it.

Kinds are told by modules that are loaded already: nothing is imported for a value to be tested.
"""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ollama_nb.asking.prompt_tables import is_table, table
from ollama_nb.errors import BadTemplate
from ollama_nb.pictures.picture import SUFFIXES, Picture, picture_of
from ollama_nb.sizes import in_words

if TYPE_CHECKING:
    from types import TracebackType

LARGEST_FILE_BYTES = 100_000
TRACEBACK_LETTERS = 6000
# Class of a picture -> the module that has it.
PICTURES = {
    ("PIL.Image", "Image"),
    ("matplotlib.figure", "FigureBase"),
    ("matplotlib.axes", "Axes"),
}


def written(value: Any, called: str) -> str | Picture:
    """Return a value's text, or its picture.

    Raises
    ------
    BadTemplate
        For a function or a module, and a file that is not there, too large, or no text.
    NotAPicture
        For the file of a picture that is none.
    """
    if isinstance(value, Picture) or _is_picture(value):
        return picture_of(value, called)
    if isinstance(value, Path):
        return _of_path(value, called)
    if isinstance(value, BaseException):
        return _traceback(value)
    if is_table(value):
        return table(value)
    if callable(value) and not isinstance(value, type) and hasattr(value, "__name__"):
        raise BadTemplate(f"{called} is a function: call it, as in {{{{ {called}() }}}}")
    return str(value)


def _is_picture(value: Any) -> bool:
    kinds = (getattr(sys.modules.get(module), name, None) for module, name in PICTURES)
    return isinstance(value, tuple(kind for kind in kinds if isinstance(kind, type)))


def _of_path(path: Path, called: str) -> str | Picture:
    """Return what is in a file."""
    if path.suffix.lower() in SUFFIXES:
        return picture_of(path, called)
    try:
        size = path.expanduser().stat().st_size
        if size > LARGEST_FILE_BYTES:
            raise BadTemplate(
                f"{called}: {path} has {in_words(size)}, a prompt takes files up to "
                f"{in_words(LARGEST_FILE_BYTES)}; write {{{{ {called}.read_text()[:10000] }}}}"
            )
        return path.expanduser().read_text("utf-8")
    except UnicodeDecodeError:
        raise BadTemplate(f"{called}: {path} is no text (UTF-8)") from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise BadTemplate(f"{called}: {path} cannot be read ({reason})") from None


def _traceback(error: BaseException) -> str:
    """Write an exception as Python does, without the frames of the shell that ran the cell."""
    at = _of_the_user(error.__traceback__)
    text = "".join(traceback.format_exception(type(error), error, at)).rstrip()
    if len(text) <= TRACEBACK_LETTERS:
        return text
    return f"(the beginning is left out)\n...{text[-TRACEBACK_LETTERS:]}"


def _of_the_user(at: TracebackType | None) -> TracebackType | None:
    while at is not None and "IPython" in Path(at.tb_frame.f_code.co_filename).parts:
        at = at.tb_next
    return at
