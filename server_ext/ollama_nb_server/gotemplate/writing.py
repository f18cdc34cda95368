"""Texts made of values: `print`, `println`, `printf`, `html`, `js`, `urlquery`.

Owns the escapes, and that a run pays for the texts it makes. How values print is in `formatting`.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Sequence
from typing import Final

from ollama_nb_server.gotemplate.formatting import sprint, sprintln
from ollama_nb_server.gotemplate.limits import Run
from ollama_nb_server.gotemplate.printf import sprintf
from ollama_nb_server.gotemplate.quoting import to_bytes
from ollama_nb_server.gotemplate.values import Value


def print_(run: Run, arguments: Sequence[Value]) -> str:
    """`print`."""
    return run.made(sprint(arguments, run.check_length))


def println_(run: Run, arguments: Sequence[Value]) -> str:
    """`println`."""
    return run.made(sprintln(arguments, run.check_length))


def printf_(run: Run, arguments: Sequence[Value]) -> str:
    """`printf`."""
    return run.made(sprintf(arguments[0], arguments[1:], run.check_length))


def _printed(run: Run, arguments: Sequence[Value]) -> str:
    """As `print`, but nil prints as it does in an action."""
    return sprint(["<no value>" if arg is None else arg for arg in arguments], run.check_length)


_HTML: Final = str.maketrans(
    {'"': "&#34;", "'": "&#39;", "&": "&amp;", "<": "&lt;", ">": "&gt;", "\0": "\ufffd"}
)
_JS: Final = str.maketrans(
    {
        **{chr(code): f"\\u{code:04X}" for code in range(0x20)},
        "\\": "\\\\", "'": "\\'", '"': '\\"', "<": "\\u003C", ">": "\\u003E", "&": "\\u0026",
        "=": "\\u003D",
    }
)  # fmt: skip


def html_(run: Run, arguments: Sequence[Value]) -> str:
    """`html`."""
    return run.made(_printed(run, arguments).translate(_HTML))


def js_(run: Run, arguments: Sequence[Value]) -> str:
    """`js`."""
    text = _printed(run, arguments).translate(_JS)
    if not text.isprintable():
        text = "".join(
            char if char.isprintable() or char.isascii() else f"\\u{ord(char):04X}" for char in text
        )
    return run.made(text)


def urlquery_(run: Run, arguments: Sequence[Value]) -> str:
    """`urlquery`."""
    return run.made(urllib.parse.quote_plus(to_bytes(_printed(run, arguments))))
