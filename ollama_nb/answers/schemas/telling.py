"""A schema in words, for a prompt: the names of the fields, their types, what they mean.

A server holds the answer to the form, but the model only reads the prompt.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MAX_DEPTH = 5
WORDS = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "null": "null",
    "object": "object",
}


def is_described(definition: Any) -> bool:
    """Tell whether a JSON Schema says anywhere what a field means."""
    if isinstance(definition, list):
        return any(map(is_described, definition))
    if not isinstance(definition, dict):
        return False
    return isinstance(definition.get("description"), str) or any(
        map(is_described, definition.values())
    )


def told(definition: Mapping[str, Any]) -> str:
    """Return what a prompt says of a JSON Schema; empty where there is nothing to say.

    Examples
    --------
    >>> age = {"type": "integer", "description": "in years"}
    >>> print(told({"type": "object", "properties": {"age": age}, "required": ["age"]}))
    Answer with JSON of these fields:
    - age (whole number): in years
    """
    lines = list(_fields(definition, definition.get("$defs", {}), 0))
    if lines:
        kind = "a list of objects" if definition.get("type") == "array" else "JSON"
        return "\n".join([f"Answer with {kind} of these fields:", *lines])
    return f"Answer with JSON: {meaning}" if (meaning := definition.get("description")) else ""


def _fields(node: Mapping[str, Any], shared: Mapping[str, Any], depth: int) -> Iterator[str]:
    """Yield a line for each field of an object, of a list's objects, of what stands elsewhere."""
    node = _resolved(node, shared)
    if depth > MAX_DEPTH:  # a schema may contain itself
        return
    for member in (node.get("items"), *node.get("anyOf", ())):
        if isinstance(member, dict):
            yield from _fields(member, shared, depth)
    required = node.get("required", ())
    for name, field in node.get("properties", {}).items():
        whole = {**_resolved(field, shared), **field}
        absent = "" if name in required else ", may be left out"
        meaning = f": {whole['description']}" if whole.get("description") else ""
        yield f"{'  ' * depth}- {name} ({_kind(field, shared)}{absent}){meaning}"
        yield from _fields(field, shared, depth + 1)


def _resolved(node: Mapping[str, Any], shared: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = shared.get(str(node.get("$ref", "")).rpartition("/")[2], node)
    return found


def _kind(node: Mapping[str, Any], shared: Mapping[str, Any]) -> str:
    """Say in words which values a field may have."""
    node = _resolved(node, shared)
    if "anyOf" in node:
        return " or ".join(_kind(member, shared) for member in node["anyOf"])
    if "enum" in node:
        return "one of " + ", ".join(json.dumps(one, ensure_ascii=False) for one in node["enum"])
    if "const" in node:
        return json.dumps(node["const"], ensure_ascii=False)
    if node.get("type") == "array":
        return f"list of {_kind(node.get('items') or {}, shared)}"
    return str(node.get("format") or WORDS.get(str(node.get("type")), "any value"))
