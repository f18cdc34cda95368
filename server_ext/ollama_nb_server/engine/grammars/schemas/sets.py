"""Lists whose items must differ, and objects whose names must: said by what a grammar can say.

A grammar remembers nothing of what it has seen, so lists are told one by one, where they are few.
"""

from __future__ import annotations

from itertools import permutations
from math import perm
from typing import Any

from ollama_nb_server.engine.errors import GrammarRefused
from ollama_nb_server.engine.grammars.schemas.formats import SPELLED, whole
from ollama_nb_server.engine.grammars.schemas.keywords import PARTS, Node
from ollama_nb_server.engine.grammars.schemas.references import References

MOST_LISTS = 400  # that are told one by one: all of up to 5 values
KINDS = {str: "string", int: "integer", bool: "boolean"}
REPEATED = (
    "the keyword 'uniqueItems': a grammar cannot keep items from coming twice; leave it out and "
    "drop what comes twice, or say by an enum which items there are (up to 5, more with maxItems)"
)
NAMES = (
    "the keyword 'propertyNames': names can be bound by an enum, a pattern or a length, "
    "and only where no properties are listed"
)
NAMING = frozenset(("type", "pattern", "minLength", "maxLength", "format"))


def unroll(made: dict[str, Any], items: Any, place: str) -> None:
    """Say that no item comes twice; `items` is the schema of the items, references resolved.

    Raises
    ------
    GrammarRefused
        If there are too many lists of such items.
    """
    least, most = made.get("minItems", 0), made.get("maxItems", MOST_LISTS)
    if most in (0, 1) and not isinstance(most, bool):
        return
    values = _values(items)
    plain = made.keys() <= {"type", "items", "minItems", "maxItems"} and made.get("type") == "array"
    if values is None or not plain or not _is_count(least) or not _is_count(most):
        raise GrammarRefused(REPEATED, place)
    lengths = range(least, min(most, len(values)) + 1)
    if sum(perm(len(values), length) for length in lengths) > MOST_LISTS:
        raise GrammarRefused(REPEATED, place)
    made.clear()
    lists = [{"const": list(one)} for length in lengths for one in permutations(values, length)]
    made["anyOf"] = list[Node](lists) or [False]


def _values(items: Any) -> list[Any] | None:
    """The only values that an item can be, if they are listed, differ and are of one type."""
    if not isinstance(items, dict) or not items.keys() & PARTS <= {"type", "enum", "const"}:
        return None
    if "const" in items or "enum" in items:
        values = [items["const"]] if "const" in items else items["enum"]
    else:
        values = {"boolean": [False, True], "null": [None]}.get(str(items.get("type")))
    if not isinstance(values, list) or not {type(value) for value in values} <= {str, int, bool}:
        return None if values != [None] else values
    kinds = {KINDS[type(value)] for value in values}
    alike = len(kinds) == 1 and items.get("type", *kinds) in kinds
    return values if alike and len(set(values)) == len(values) else None


def name(made: dict[str, Any], names: Any, references: References, place: str) -> None:
    """Say what the names of properties are by the properties.

    Raises
    ------
    GrammarRefused
        If the names are bound by something else, or other properties are listed.
    """
    names = references.resolved(names)
    if names is True or (isinstance(names, dict) and not _binding(names)):
        return
    others: Node = made.get("additionalProperties", True)
    if {"properties", "patternProperties"} & made.keys():
        raise GrammarRefused(NAMES, place)
    if isinstance(names, dict) and _binding(names) == {"enum"} and isinstance(names["enum"], list):
        made["properties"] = {key: others for key in names["enum"] if isinstance(key, str)}
    elif names is not False:
        made["patternProperties"] = {_pattern(names, place): others}
    made["additionalProperties"] = False
    made.setdefault("type", "object")


def _binding(names: dict[str, Any]) -> set[str]:
    """Keywords that say more than that a name is a text."""
    saying = names.keys() & {*NAMING, "enum", "const", "$ref", "anyOf", "oneOf", "allOf", "not"}
    return saying - {"type"} if names.get("type", "string") == "string" else saying


def _pattern(names: Any, place: str) -> str:
    keywords = _binding(names) if isinstance(names, dict) else set()
    if not keywords:
        raise GrammarRefused(NAMES, place)
    if keywords == {"pattern"}:
        return str(names["pattern"])
    if keywords <= {"minLength", "maxLength"}:
        return whole(f"(?s:.{{{names.get('minLength', 0)},{names.get('maxLength', '')}}})")
    if keywords == {"format"} and names["format"] in SPELLED:
        return whole(SPELLED[names["format"]])
    raise GrammarRefused(NAMES, place)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
