"""Lets a prompt on a magic's line end with a question mark, which IPython takes for a cry for help.

`%chat What is a DataFrame?` is a question; `%chat?` still shows the manual.
"""

from __future__ import annotations

import re

QUESTION = re.compile(
    r"""(?P<before> \s* (?: [\w., ]+ = \s* )? )   # indentation, or a variable to bind
        % (?P<magic> chat | generate ) [ \t]+
        (?P<text> \S .* \? \s* ) $
    """,
    re.VERBOSE,
)


def protect_questions(lines: list[str]) -> list[str]:
    """Write lines of our magics that end with `?` as the calls that they stand for."""
    if lines and lines[0].lstrip().startswith("%%"):
        return lines  # a cell magic: its body is its own
    return [_protected(line) for line in lines]


def _protected(line: str) -> str:
    found = QUESTION.match(line.rstrip("\n"))
    if found is None:
        return line
    call = f"get_ipython().run_line_magic({found['magic']!r}, {found['text'].rstrip()!r})"
    return f"{found['before']}{call}\n"
