"""What `--schema`, `--suffix` and `--fill` mean in a notebook: its variables, and gaps in cells.

What a schema is made of is in `answers.schemas`; here only names become what they stand for.
"""

from __future__ import annotations

import ast
import builtins
import difflib
import re
import types
from typing import TYPE_CHECKING, Any

from ollama_nb.errors import BadSchema, MagicUsage, NotText

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping

_DOTTED = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
_BRACED = re.compile(r"\{\s*(?P<name>[^\W\d]\w*)\s*\}")
# What an expression of types is written with: list[Person], Person | None, Literal["a", "b"].
_OF_TYPES = (
    ast.Expression,
    ast.Name,
    ast.Attribute,
    ast.Subscript,
    ast.Tuple,
    ast.List,
    ast.BinOp,
    ast.BitOr,
    ast.Constant,
    ast.Load,
)


def wish(text: str, variables: Mapping[str, Any]) -> Any:
    """Return what `--schema TEXT` stands for: a variable's value, a type, or a short form.

    Raises
    ------
    BadSchema
        For a single word that is neither a variable nor a type.
    """
    from ollama_nb.answers.schemas.nodes import SCALARS

    text = text.strip()
    if text in SCALARS:
        return text
    if _DOTTED.fullmatch(text):
        return _variable(text, variables)
    found = _expression(text, variables)
    return text if found is None else found


def _variable(text: str, variables: Mapping[str, Any]) -> Any:
    first, *rest = text.split(".")
    names = {**vars(builtins), **variables}
    if first not in names:
        near = difflib.get_close_matches(first, _shown(variables), n=1, cutoff=0.6)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise BadSchema(
            f"there is no variable {first!r}{hint} "
            f"(a form with one field is written with its type: --schema '{first} str')"
        )
    value = names[first]
    for name in rest:
        try:
            value = getattr(value, name)
        except AttributeError:
            raise BadSchema(f"{first!r} has no {name!r}") from None
    return value


def _shown(variables: Mapping[str, Any]) -> list[str]:
    return [name for name in variables if not name.startswith("_")]


def schemas_among(variables: Mapping[str, Any]) -> list[str]:
    """Return the variables that `--schema` is likely to name: classes with fields, JSON Schemas."""
    return [name for name in _shown(variables) if _is_likely(variables[name])]


def _is_likely(value: Any) -> bool:
    if isinstance(value, type):
        return bool(getattr(value, "__annotations__", None)) or hasattr(value, "__members__")
    return isinstance(value, dict) and ("properties" in value or "type" in value)


def _expression(text: str, variables: Mapping[str, Any]) -> Any:
    """Evaluate an expression that is made of types only; None if it is anything else."""
    try:
        tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError):
        return None
    names = {**vars(builtins), **variables}
    used = [names.get(node.id) for node in ast.walk(tree) if isinstance(node, ast.Name)]
    if not (used and _is_of_types(tree, text) and all(map(_is_in_types, used))):
        return None
    try:
        return eval(compile(tree, "--schema", "eval"), dict(names))  # the user's own cell
    except (TypeError, AttributeError) as error:
        raise BadSchema(f"{text} cannot be evaluated: {error}") from None


def _is_of_types(tree: ast.Expression, text: str) -> bool:
    """Tell whether an expression looks like a type; `tags [str]` with a blank is a short form."""
    if not isinstance(tree.body, (ast.Subscript, ast.BinOp, ast.List)):
        return False
    nodes = list(ast.walk(tree))
    letters = text.encode()  # which is what the offsets count
    subscripts = [node.value.end_col_offset for node in nodes if isinstance(node, ast.Subscript)]
    touching = all(letters[end or 0 : (end or 0) + 1] == b"[" for end in subscripts)
    return touching and all(isinstance(node, _OF_TYPES) for node in nodes)


def _is_in_types(value: Any) -> bool:
    """Tell whether a value may stand in a type: one itself, a word of typing, a module."""
    from ollama_nb.answers.schemas.types import is_type

    is_word = type(value).__module__ in ("typing", "typing_extensions")
    return is_type(value) or is_word or isinstance(value, types.ModuleType)


def suffix(options: Namespace, variables: Mapping[str, Any]) -> str | None:
    """Return the text of `--suffix`, which is literal unless it is `{name}` of a variable.

    Raises
    ------
    MagicUsage
        If there is no such variable.
    NotText
        If it holds something else than text.
    """
    given: str | None = options.suffix
    found = _BRACED.fullmatch(given or "")
    if found is None:
        return given
    name = found["name"]
    if name not in variables:
        raise MagicUsage(f"--suffix {{{name}}}: there is no variable {name!r}")
    if not isinstance(variables[name], str):
        raise NotText(f"the variable {name!r} of --suffix", variables[name])
    return str(variables[name])


def filled(text: str, mark: str) -> tuple[str, str]:
    """Return what is before and after the mark, which stands for the gap.

    Raises
    ------
    MagicUsage
        If the mark is not there, or more than once.
    """
    count = text.count(mark)
    if count != 1:
        times = "not" if count == 0 else f"{count} times"
        raise MagicUsage(f"--fill {mark}: the mark of the gap is {times} in the text, not once")
    before, _, after = text.partition(mark)
    return before, after
