"""What the arguments of a call look like where a notation writes texts without JSON's quotes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ollama_nb_server.prompts.parsing import shapes
from ollama_nb_server.prompts.parsing.parts import Tool
from ollama_nb_server.prompts.parsing.shapes import Json, Shape, Text, Until, sequence
from ollama_nb_server.prompts.parsing.values import types_of

TEXTS = {"string"}
DEFINITIONS = ("$defs", "definitions")


def value(key: str, tool: Tool, *, opens: str = "", closes: str, after: str | None = None) -> Shape:
    """The value of an argument: a text between `opens` and `closes`, anything else as JSON.

    Without `opens` a text of unknown type stands as it is too. `after` follows JSON; by default
    `closes` does.
    """
    schema = tool.properties[key]
    known = schema if isinstance(schema, dict) else {}
    if (words := words_of(known)) is not None:
        return sequence(shapes.Choice(tuple(Text(f"{opens}{word}{closes}") for word in words)))
    if set(types_of(known)) == TEXTS or (not opens and not types_of(known)):
        return sequence(opens, Until(closes))
    return sequence(argument(key, tool), closes if after is None else after)


def argument(key: str, tool: Tool, schema: Any = None) -> Json:
    """An argument as JSON, with the definitions that it may refer to; `schema` is its own."""
    own = tool.properties[key] if schema is None else schema
    shared = {name: tool.parameters[name] for name in DEFINITIONS if name in tool.parameters}
    label = f"parameter {key!r} of tool {tool.name!r}"
    return Json({**shared, **own} if isinstance(own, dict) else own, label)


def words_of(schema: Mapping[str, Any]) -> list[str] | None:
    """The only texts that a schema allows, None if it allows others or what is no text."""
    listed = schema.get("enum", [schema["const"]] if "const" in schema else None)
    if not isinstance(listed, list) or not listed:
        return None
    return listed if all(isinstance(one, str) for one in listed) else None


def listed(tool: Tool, argument: Callable[[str], Shape], separator: str = "") -> Shape:
    """Required arguments first, each group in the schema's order, `separator` between them."""
    required = [key for key in tool.properties if key in tool.required]
    later = [key for key in tool.properties if key not in required]
    if not separator or required:
        first = [sequence(separator if i else "", argument(key)) for i, key in enumerate(required)]
        rest = [optional(sequence(separator, argument(key))) for key in later]
        return sequence(*first, *rest)
    # The first one that is there has no separator before it.
    choices = [
        sequence(
            argument(key),
            *(optional(sequence(separator, argument(other))) for other in later[i + 1 :]),
        )
        for i, key in enumerate(later)
    ]
    return optional(shapes.Choice(tuple(choices))) if choices else Text("")


def optional(part: Shape) -> Shape:
    """It, or nothing."""
    return shapes.Repeat(part, least=0, most=1)
