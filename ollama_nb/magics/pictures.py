"""What `--image` names: a file, or a variable of the notebook; and what it may name, for Tab.

What a picture can be made of is in `pictures.picture`.
"""

from __future__ import annotations

import ast
import difflib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ollama_nb.errors import NotAPicture
from ollama_nb.pictures.picture import SUFFIXES, Picture, picture_of

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

# What `images[-1]` and `grid.figure` are written with.
_OF_NAMES = (
    *(ast.Expression, ast.Name, ast.Attribute, ast.Subscript, ast.Constant, ast.Load),
    *(ast.UnaryOp, ast.USub),
)


def named_picture(text: str, variables: Mapping[str, Any]) -> Picture:
    """Return the picture that `--image TEXT` names.

    A variable, with attributes and items as in `images[0]` or `grid.figure`, goes before a file of
    the same name; `./plot.png` always is a file.

    Raises
    ------
    NotAPicture
        If there is neither, or if it is no picture.
    """
    found, value = _value(text, variables)
    if found:
        return picture_of(value, text)
    if Path(text).expanduser().is_file() or text.startswith("data:"):
        return picture_of(text, text)
    near = difflib.get_close_matches(text, _likely(variables), n=1, cutoff=0.6)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise NotAPicture(f"--image {text}: there is no variable and no file of that name{hint}")


def _value(text: str, variables: Mapping[str, Any]) -> tuple[bool, Any]:
    """Evaluate an expression of names, attributes and items, if it is one and has a value."""
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError):
        return False, None
    nodes = list(ast.walk(tree))
    names = [node.id for node in nodes if isinstance(node, ast.Name)]
    is_plain = all(isinstance(node, _OF_NAMES) for node in nodes)
    if not (names and is_plain and all(name in variables for name in names)):
        return False, None
    try:
        return True, eval(compile(tree, "--image", "eval"), dict(variables))  # the user's own cell
    except (AttributeError, LookupError, TypeError):
        return False, None


def _likely(variables: Mapping[str, Any]) -> list[str]:
    """Return the variables that hold a picture."""
    return [
        name for name, value in variables.items() if not name.startswith("_") and _is_likely(value)
    ]


def _is_likely(value: Any) -> bool:
    """Tell by its type, and import nothing for that."""
    if isinstance(value, Picture):
        return True
    kinds = [
        ("PIL.Image", "Image"),
        ("matplotlib.figure", "Figure"),
        ("matplotlib.axes", "Axes"),
    ]
    loaded = [(sys.modules.get(module), kind) for module, kind in kinds]
    if any(module and isinstance(value, getattr(module, kind)) for module, kind in loaded):
        return True
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.ndarray) and value.ndim in (2, 3)


def likely_pictures(begun: str, variables: Mapping[str, Any]) -> Iterable[str]:
    """Return what may stand behind `--image`: variables, then files and the folders on the way."""
    return [*_likely(variables), *likely_files(begun, SUFFIXES)]


def likely_files(begun: str, suffixes: Container[str] | None = None) -> list[str]:
    """Return the paths that go on as begun: files, of some kinds only, and folders on the way."""
    folder, slash, _ = begun.rpartition("/")
    place = Path(folder or slash or ".").expanduser()
    try:
        entries = sorted(place.iterdir())
    except OSError:
        entries = []
    return [
        f"{folder}{slash}{entry.name}{'/' if entry.is_dir() else ''}"
        for entry in entries
        if not entry.name.startswith(".")
        and (entry.is_dir() or suffixes is None or entry.suffix.lower() in suffixes)
    ]
