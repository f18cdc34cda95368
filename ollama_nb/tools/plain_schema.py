"""Write pydantic's JSON Schemas the plain way that models have seen, and that Ollama passes on.

Ollama shows a model `type`, `items`, `enum`, `anyOf`, `description`, `properties` and `required`
of a parameter and drops all else, references to definitions included.
"""

from __future__ import annotations

from typing import Any

_NAMED = ("properties", "$defs", "patternProperties")  # keywords whose keys are no keywords
_VALUES = ("default", "const", "enum", "examples", "required")  # keywords that hold no schemas


def plain(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema without titles, references and what a parameter may be beside absent.

    A type that holds itself keeps its definitions.

    Examples
    --------
    >>> plain({"$defs": {"Unit": {"enum": ["C", "F"], "title": "Unit"}},
    ...        "properties": {"unit": {"$ref": "#/$defs/Unit"}}})
    {'properties': {'unit': {'enum': ['C', 'F']}}}
    """
    definitions = schema.get("$defs", {})
    inlined = _plain({key: value for key, value in schema.items() if key != "$defs"}, definitions)
    if not _has_reference(inlined):
        return inlined
    kept = {name: _plain(one, {}) for name, one in definitions.items()}
    return {**_plain({**schema, "$defs": {}}, {}), "$defs": kept}


def _plain(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    reference = str(schema.get("$ref", "")).removeprefix("#/$defs/")
    if reference in definitions:
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        rest = {name: one for name, one in definitions.items() if name != reference}
        return _plain({**definitions[reference], **beside}, rest)
    written = {
        key: _inside(key, value, definitions)
        for key, value in schema.items()
        if not (key == "title" and isinstance(value, str))
    }
    return _without_null(written)


def _inside(key: str, value: Any, definitions: dict[str, Any]) -> Any:
    if key in _VALUES:
        return value
    if key in _NAMED:
        return {name: _inside("", one, definitions) for name, one in value.items()}
    if isinstance(value, dict):
        return _plain(value, definitions)
    return [_inside("", one, definitions) for one in value] if isinstance(value, list) else value


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Leave out that a value may be null: then it may be absent, which is how a model says so."""
    options = schema.get("anyOf", [])
    others = [one for one in options if one != {"type": "null"}]
    if len(others) == len(options):
        return schema
    beside = {key: value for key, value in schema.items() if key not in ("anyOf", "default")}
    return {**others[0], **beside} if len(others) == 1 else {**beside, "anyOf": others}


def _has_reference(schema: Any) -> bool:
    if isinstance(schema, dict):
        return "$ref" in schema or any(map(_has_reference, schema.values()))
    return isinstance(schema, list) and any(map(_has_reference, schema))
