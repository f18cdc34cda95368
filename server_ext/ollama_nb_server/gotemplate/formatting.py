"""Go's fmt: every value's text by a verb, and what `print` and `println` make.

Owns strings, lists, maps, structs and verbs that do not fit. Numbers' digits are in `digits`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from ollama_nb_server.gotemplate.digits import (
    FLOAT_VERBS,
    INT_VERBS,
    format_float,
    format_int,
    shortest,
)
from ollama_nb_server.gotemplate.errors import LimitExceeded
from ollama_nb_server.gotemplate.quoting import quote, to_bytes
from ollama_nb_server.gotemplate.values import NilPointer, Struct, Value, sorted_items, type_name
from ollama_nb_server.gotemplate.verbs import PLAIN, Spec, pad

NIL: Final = "<nil>"
MAX_VALUE_DEPTH: Final = 100  # of lists in lists; data that comes from JSON is not deeper
_STRINGER_VERBS: Final = "vsxXq"


def show(value: Value) -> str:
    """The value as `%v` prints it."""
    kind = type(value)
    if kind is str:
        return value  # type: ignore[no-any-return]
    if kind is int:
        return str(value)
    if kind is bool:
        return "true" if value else "false"
    return format_value(value, PLAIN)


def sprint(values: Sequence[Value], check: Callable[[int], None]) -> str:
    """What `print` makes: blanks only between operands neither of which is a string.

    Parameters
    ----------
    values : Sequence[Value]
        The operands.
    check : Callable[[int], None]
        Called with the length so far; it refuses a text that grows too long.
    """
    pieces: list[str] = []
    total = 0
    after_text = True
    for value in values:
        is_text = isinstance(value, str)
        if not (is_text or after_text):
            pieces.append(" ")
        pieces.append(show(value))
        total += len(pieces[-1]) + 1
        check(total)
        after_text = is_text
    return "".join(pieces)


def sprintln(values: Sequence[Value], check: Callable[[int], None]) -> str:
    """What `println` makes: blanks between all operands, and a new line."""
    pieces: list[str] = []
    total = 1
    for value in values:
        pieces.append(show(value))
        total += len(pieces[-1]) + 1
        check(total)
    return " ".join(pieces) + "\n"


def format_value(value: Value, spec: Spec, depth: int = 0) -> str:
    """One value by one verb; `depth` is how many lists, maps and structs it is in."""
    if depth > MAX_VALUE_DEPTH:
        raise LimitExceeded("levels of lists and maps in a printed value", MAX_VALUE_DEPTH)
    if value is None or isinstance(value, NilPointer):
        return _format_nil(value, spec, depth)
    go_string = getattr(value, "go_string", None)
    if go_string is not None and spec.verb in _STRINGER_VERBS and not spec.go_syntax:
        return _format_string(go_string(), spec)
    if isinstance(value, str):
        return _format_string(value, spec)
    if isinstance(value, bool):
        return pad(show(value), spec) if spec.verb in "vt" else bad_verb(value, spec)
    if isinstance(value, int):
        return format_int(value, spec) if spec.verb in INT_VERBS else bad_verb(value, spec)
    if isinstance(value, float):
        return _format_float(value, spec)
    return _format_whole(value, spec, depth)


def bad_verb(value: Value, spec: Spec) -> str:
    """A value that a verb cannot print: `%!d(string=hi)`."""
    if value is None:
        return f"%!{spec.verb}({NIL})"
    plain = replace(spec, verb="v", plain=True)
    return f"%!{spec.verb}({type_name(value)}={format_value(value, plain)})"


def _format_float(value: float, spec: Spec) -> str:
    if spec is PLAIN and value - value == 0:
        return f"-{shortest(-value)}" if str(value)[0] == "-" else shortest(value)
    return format_float(value, spec) if spec.verb in FLOAT_VERBS else bad_verb(value, spec)


def _format_nil(value: NilPointer | None, spec: Spec, depth: int) -> str:
    if value is None and depth:
        return "interface {}(nil)" if spec.go_syntax else NIL
    if value is not None and spec.go_syntax:
        return f"({value.type_name})(nil)"
    if spec.verb == "v":
        return pad(NIL, spec)
    if value is not None and spec.verb in "bodxX":
        return pad("0", spec)
    return bad_verb(value, spec)


def _format_whole(value: Value, spec: Spec, depth: int) -> str:
    """Lists, maps and structs: each element by the same verb."""

    def inner(element: Value) -> str:
        return format_value(element, spec, depth + 1)

    if isinstance(value, Struct):
        return _format_struct(value, spec, inner)
    if isinstance(value, dict):
        entries = [f"{inner(key)}:{inner(item)}" for key, item in sorted_items(value)]
        if spec.go_syntax:
            return f"{type_name(value)}{{{', '.join(entries)}}}"
        return f"map[{' '.join(entries)}]"
    if isinstance(value, list):
        elements = [inner(element) for element in value]
        if spec.go_syntax:
            return f"{type_name(value)}{{{', '.join(elements)}}}"
        return f"[{' '.join(elements)}]"
    raise TypeError(f"a template was given a {type(value).__name__}, which stands for no Go value")


def _format_struct(value: Struct, spec: Spec, inner: Callable[[Value], str]) -> str:
    fields = value.fields.items()
    if spec.go_syntax:
        return f"{value.type_name}{{{', '.join(f'{name}:{inner(item)}' for name, item in fields)}}}"
    if spec.field_names:
        return f"{{{' '.join(f'{name}:{inner(item)}' for name, item in fields)}}}"
    return f"{{{' '.join(inner(item) for _, item in fields)}}}"


def _format_string(text: str, spec: Spec) -> str:
    """A string by `%v %s %q %x %X`; a precision cuts it first."""
    if spec is PLAIN:
        return text
    cut = text if spec.precision is None else text[: spec.precision]
    if spec.verb == "q" or spec.go_syntax:
        if spec.sharp and spec.verb == "q" and _can_backquote(cut):
            return pad(f"`{cut}`", spec)
        return pad(quote(cut, ascii_only=spec.plus and spec.verb == "q"), spec)
    if spec.verb in "vs":
        return pad(cut, spec)
    if spec.verb in "xX":
        return pad(_hex_bytes(to_bytes(text), spec), spec)
    return bad_verb(text, spec)


def _can_backquote(text: str) -> bool:
    return "`" not in text and all(char == "\t" or char.isprintable() for char in text)


def _hex_bytes(raw: bytes, spec: Spec) -> str:
    raw = raw if spec.precision is None else raw[: spec.precision]
    prefix = "0x" if spec.sharp and raw else ""
    digits = raw.hex(" ") if spec.space and raw else raw.hex()
    digits = prefix + digits.replace(" ", f" {prefix}")
    return digits.upper() if spec.verb == "X" else digits


def num_leaves(value: Value, depth: int = 0) -> int:
    """How many single values a value prints, itself included."""
    if depth > MAX_VALUE_DEPTH:
        return 1
    if isinstance(value, Struct):
        inner = list(value.fields.values())
    elif isinstance(value, dict):
        inner = [*value, *value.values()]
    else:
        inner = value if isinstance(value, list) else []
    return 1 + sum(num_leaves(element, depth + 1) for element in inner)
