"""JSON as Go's encoder makes it of a template's values: sorted maps, escaped angle brackets.

Owns text and numbers; which fields a value has is `go_values`' business.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from ollama_nb_server.gotemplate import Struct
from ollama_nb_server.gotemplate.json_text import number, text


class Documented:
    """A value that JSON shows differently from what templates see."""

    __slots__ = ()

    def document(self) -> Any:
        """What JSON shows instead."""
        raise NotImplementedError


class Ordered(dict[str, Any]):
    """A map that JSON shows in the order of its keys, not sorted."""


class SelfEncoding(Ordered):
    """A map whose type writes its own JSON in Go: it escapes HTML whoever asks."""


@dataclass(frozen=True, slots=True)
class Form:
    """How JSON looks: with blanks behind `:` and `,`, and with `<`, `>` and `&` escaped."""

    spaced: bool = False
    html: bool = True


COMPACT = Form()


def encode(value: Any, form: Form = COMPACT) -> str:
    r"""JSON as Go's `json.Marshal` writes it: compact, if no other form is asked for.

    Raises
    ------
    ValueError
        If a number is infinite or none: JSON has no such thing.

    Examples
    --------
    >>> encode({"b": 1e6, "a": "<x>"})
    '{"a":"\\u003cx\\u003e","b":1000000}'
    """
    if isinstance(value, Documented):
        return encode(value.document(), form)
    if isinstance(value, Struct):
        return _object(value.fields.items(), form)
    if isinstance(value, dict):
        if isinstance(value, SelfEncoding) and not form.html:
            form = replace(form, html=True)
        return _object(value.items() if isinstance(value, Ordered) else sorted(value.items()), form)
    if isinstance(value, list | tuple):
        comma = ", " if form.spaced else ","
        return f"[{comma.join([encode(item, form) for item in value])}]"
    if isinstance(value, str):
        return text(value, html=form.html)
    if isinstance(value, bool):
        return "true" if value else "false"
    return number(value) if isinstance(value, int | float) else "null"


def _object(items: Iterable[tuple[str, Any]], form: Form) -> str:
    colon, comma = (": ", ", ") if form.spaced else (":", ",")
    pairs = [f"{text(key, html=form.html)}{colon}{encode(value, form)}" for key, value in items]
    return f"{{{comma.join(pairs)}}}"
