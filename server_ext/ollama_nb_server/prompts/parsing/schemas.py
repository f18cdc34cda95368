"""The schema of one argument: which values it allows, and what they look like in a text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ollama_nb_server.prompts.parsing.parts import Tool
from ollama_nb_server.prompts.parsing.values import typed, types_of

DEFINITIONS = ("$defs", "definitions")
MAX_REFERENCES = 16


def argument_schema(tool: Tool, key: str) -> Mapping[str, Any]:
    """The schema of an argument, references to the tool's own definitions followed."""
    return followed(tool.properties.get(key), tool.parameters)


def followed(schema: Any, root: Mapping[str, Any]) -> Mapping[str, Any]:
    """A schema, or what it refers to in the document that it is a part of."""
    for _ in range(MAX_REFERENCES):
        reference = schema.get("$ref") if isinstance(schema, dict) else None
        if not isinstance(reference, str):
            break
        schema = _at(root, reference)
    return schema if isinstance(schema, dict) else {}


def _at(document: Any, reference: str) -> Any:
    """What a reference such as `#/$defs/day` is to."""
    for step in reference.removeprefix("#").split("/")[1:]:
        document = document.get(step) if isinstance(document, dict) else None
    return document


def types_allowed(schema: Mapping[str, Any]) -> set[str]:
    """The types of the values that a schema allows; none where it does not say."""
    if "enum" in schema and isinstance(schema["enum"], list):
        return {_type(value) for value in schema["enum"]}
    if "const" in schema:
        return {_type(schema["const"])}
    union = schema.get("oneOf")
    if isinstance(union, list):
        return {kind for one in union if isinstance(one, dict) for kind in types_allowed(one)}
    return set(types_of(schema))


def _type(value: Any) -> str:
    names = {bool: "boolean", str: "string", int: "integer", float: "number", list: "array"}
    return names.get(type(value), "null" if value is None else "object")


def is_written_as_text(schema: Mapping[str, Any]) -> bool:
    """Whether values stand as they are, without JSON's quotes: where a text is allowed."""
    types = types_allowed(schema)
    return not types or "string" in types


def texts_allowed(schema: Mapping[str, Any]) -> list[str]:
    """The only values that a schema allows, as they are written, if it lists them."""
    listed = schema.get("enum", [schema["const"]] if "const" in schema else [])
    if not isinstance(listed, list):
        return []
    return [one if isinstance(one, str) else json.dumps(one) for one in listed]


def value_of(text: str, types: set[str]) -> Any:
    """The value of one of these types that a text is; a text if there are none."""
    if types <= {"string"} or (text.lower() == "null" and "null" not in types):
        return text
    return typed(text, {"type": sorted(types)})
