"""From a wish to a schema: a short form, a JSON Schema, a class.

Short forms are read by `short_form`, Python's types by `types`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ollama_nb.answers.schemas.schema import Schema
from ollama_nb.answers.schemas.telling import told
from ollama_nb.errors import BadSchema

# A text that begins like this is JSON; a short form has a name after the brace.
_JSON = re.compile(r'\{\s*["}]')
# What a JSON Schema has at least one of; a dict without any of them is something else.
KEYWORDS = {
    *("type", "properties", "items", "enum", "const", "anyOf", "oneOf", "allOf", "$ref", "$defs"),
    *("$schema", "required", "pattern", "format", "additionalProperties", "prefixItems"),
    *("minimum", "maximum", "description", "title"),
}


def wanted(schema: Any, format: Any, in_prompt: bool | None = None) -> Schema | None:
    """Return what `schema=` and `format=` of a call stand for; None where both are left out.

    `in_prompt` is whether the prompt is to tell of the fields; None leaves it to the schema: a
    short form with descriptions is told.

    Raises
    ------
    BadSchema
        For both at once, or one that is no schema.
    """
    if schema is not None and format not in (None, ""):
        raise BadSchema("give schema or format, not both")
    if schema is not None:
        return _telling(schema_of(schema), in_prompt)
    if format in (None, ""):
        return None
    if format == "json":
        return Schema("json")
    if not isinstance(format, Mapping):
        raise BadSchema(f'format is "json" or a JSON Schema, not {format!r}; see schema=')
    return _telling(schema_of(format), in_prompt)


def _telling(schema: Schema, in_prompt: bool | None) -> Schema:
    if in_prompt is None:
        return schema
    return replace(schema, told=told(schema.definition) if in_prompt else "")


def schema_of(wish: Any) -> Schema:
    """Turn a wish into a schema.

    Parameters
    ----------
    wish
        A short form (`"name, age int"`), a JSON Schema as a dict or as text, a pydantic model, a
        dataclass, a TypedDict, an Enum, or a type such as `list[Person]` or `Literal["a", "b"]`.

    Raises
    ------
    BadSchema
        If no schema can be made of it.

    Examples
    --------
    >>> schema_of("name, age int").format["required"]
    ['name', 'age']
    """
    if isinstance(wish, Schema):
        return wish
    if isinstance(wish, str):
        return _of_text(wish)
    if isinstance(wish, Mapping):
        return Schema(_checked(wish))
    from ollama_nb.answers.schemas.types import of_type

    return of_type(wish)


def _of_text(text: str) -> Schema:
    if not _JSON.match(text.strip()):
        from ollama_nb.answers.schemas.short_form import of_short_form

        return of_short_form(text)
    try:
        return Schema(_checked(json.loads(text)))
    except json.JSONDecodeError as error:
        raise BadSchema(f"this JSON Schema is no JSON: {error}") from None


def _checked(definition: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of a JSON Schema; whether the server can follow it, the server says."""
    if definition and not KEYWORDS & definition.keys():
        raise BadSchema(
            f"a dict with {', '.join(map(repr, definition))} is no JSON Schema, which has "
            '"type" or "properties"; the short form is a text: "name, age int, tags [str]"'
        )
    try:
        copied: dict[str, Any] = json.loads(json.dumps(dict(definition)))
    except (TypeError, ValueError) as error:
        raise BadSchema(f"this JSON Schema cannot be written as JSON: {error}") from None
    return copied
