"""Patterns of model names, as an administrator writes them: `llama3.2`, `qwen*:*b`, `alice/*`.

A pattern is compared with the whole short name (`llama3.2:latest`, `hf.co/u/m:Q4_K_M`), in any
case of letters. Without a tag it means every tag.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import AfterValidator

WRITTEN = re.compile(r"[A-Za-z0-9_.:/*?\[\]!-]+")


def _checked(pattern: str) -> str:
    if WRITTEN.fullmatch(pattern) is None:
        raise ValueError(
            f"{pattern!r} is no pattern of model names: it is a name in which * stands for any "
            "letters and ? for one"
        )
    return pattern


Pattern = Annotated[str, AfterValidator(_checked)]


def matches(pattern: str, name: str) -> bool:
    """Whether a model's short name, with its tag, is one of those that a pattern means."""
    _, _, last = pattern.rpartition("/")
    whole = pattern if ":" in last else f"{pattern}:*"
    return fnmatchcase(name.casefold(), whole.casefold())


def any_matches(patterns: Iterable[str], name: str) -> bool:
    """Whether one of several patterns means the model."""
    return any(matches(pattern, name) for pattern in patterns)
