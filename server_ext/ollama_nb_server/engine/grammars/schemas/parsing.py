"""From the text of a request to a schema: whether it is one at all, and not too large.

What it says is `rewriting`'s affair.
"""

from __future__ import annotations

from itertools import chain
from typing import Any

import orjson

from ollama_nb_server.engine.errors import GrammarRefused
from ollama_nb_server.engine.grammars.schemas.keywords import PARTS

MAX_SCHEMA_BYTES = 1 << 20
MAX_DEPTH = 100  # of brackets; llguidance's reader ends at 128
WRAPPERS = ("json_schema", "json_object", "text")  # types of OpenAI's response_format
WRAPPED = (
    "this is OpenAI's response_format; send the JSON Schema alone, what is in it under {!r}, "
    'or "json" for any object'
)


def read(text: str) -> dict[str, Any]:
    """The schema that a text is.

    Raises
    ------
    GrammarRefused
        If it is none, or too large.
    """
    if len(text.encode()) > MAX_SCHEMA_BYTES:
        raise GrammarRefused(f"the schema is larger than {MAX_SCHEMA_BYTES} bytes", "")
    try:
        root = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise GrammarRefused(f"the schema is not JSON: {error}", "") from error
    return checked(root)


def checked(root: Any) -> dict[str, Any]:
    """The same, of a schema that has come as a part of something else.

    Raises
    ------
    GrammarRefused
        If it is none, or too deep.
    """
    if not isinstance(root, dict):
        raise GrammarRefused("the schema is not an object", "")
    if _depth(root) > MAX_DEPTH:
        raise GrammarRefused(f"the schema is nested more than {MAX_DEPTH} deep", "")
    _check_bare(root)
    return root


def _depth(root: Any) -> int:
    """How many brackets are open at once; counted level by level, for deep ones too."""
    depth, level = 0, [root]
    while level:
        depth += 1
        values = chain.from_iterable(n.values() if isinstance(n, dict) else n for n in level)
        level = [value for value in values if isinstance(value, dict | list)]
    return depth


def _check_bare(root: dict[str, Any]) -> None:
    """What another API wraps a schema in would pass for one that says nothing."""
    inner = root.get("json_schema")
    place = "json_schema.schema" if isinstance(inner, dict) and "schema" in inner else "schema"
    if root.get("type") in WRAPPERS:
        raise GrammarRefused(WRAPPED.format(place), "/type")
    for keyword in ("json_schema", "schema"):
        if isinstance(root.get(keyword), dict) and not root.keys() & PARTS:
            raise GrammarRefused(WRAPPED.format(place), f"/{keyword}")
