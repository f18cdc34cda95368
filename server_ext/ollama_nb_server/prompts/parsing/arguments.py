"""Arguments that stand in tags or quotes of a family's own: what they look like, and mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ollama_nb_server.prompts.parsing import gojson, shapes
from ollama_nb_server.prompts.parsing.parts import CheckedTool, Tool
from ollama_nb_server.prompts.parsing.schemas import (
    DEFINITIONS,
    argument_schema,
    is_written_as_text,
    texts_allowed,
    types_allowed,
    value_of,
)
from ollama_nb_server.prompts.parsing.shapes import Json, Shape, Tag, Text, Until, sequence
from ollama_nb_server.prompts.parsing.values import typed

# What a schema says of texts that only JSON's grammar can hold to.
RULES = frozenset({"pattern", "format", "minLength", "maxLength"})


def value(key: str, tool: Tool, *, closes: str, opens: str = "") -> Shape:
    """The value of an argument and what closes it.

    Texts stand between `opens` and `closes`, or without `opens` as they are; anything else is JSON,
    and a text too that a schema has more to say of.
    """
    schema = argument_schema(tool, key)
    in_json = sequence(argument(key, tool), "" if opens else closes)
    if opens:
        return sequence(Tag(opens), Until(closes)) if is_plain_text(schema) else in_json
    if words := texts_allowed(schema):
        return sequence(shapes.Choice(tuple(map(Text, words))), closes)
    as_text = is_written_as_text(schema) and not RULES & schema.keys()
    return until(closes) if as_text else in_json


def until(closes: str) -> Shape:
    """Any text up to a tag: blanks before it are not asked for, those behind it are."""
    _, tag, blanks = closes.partition(closes.strip())
    return sequence(Until(tag), blanks) if blanks else Until(tag)


def argument(key: str, tool: Tool, schema: Any = None) -> Json:
    """An argument as JSON, with the definitions that it may refer to; `schema` is its own."""
    own = tool.properties[key] if schema is None else schema
    shared = {name: tool.parameters[name] for name in DEFINITIONS if name in tool.parameters}
    label = f"parameter {key!r} of tool {tool.name!r}"
    return Json({**shared, **own} if isinstance(own, dict) else own, label)


def is_plain_text(schema: Mapping[str, Any]) -> bool:
    """Whether a schema allows any text, and nothing else."""
    listed = RULES | {"enum", "const"}
    return types_allowed(schema) == {"string"} and not listed & schema.keys()


def listed(tool: Tool, written: Callable[[str], Shape], separator: str = "") -> Shape:
    """Required arguments first, each group in the schema's order, `separator` between them."""
    required = [key for key in tool.properties if key in tool.required]
    later = [key for key in tool.properties if key not in required]
    if required or not separator:
        first = [sequence(separator if i else "", written(key)) for i, key in enumerate(required)]
        return sequence(*first, *(optional(sequence(separator, written(key))) for key in later))
    # The first one that is there has no separator before it.
    choices = [
        sequence(
            written(key), *(optional(sequence(separator, written(one))) for one in later[i + 1 :])
        )
        for i, key in enumerate(later)
    ]
    return optional(shapes.Choice(tuple(choices))) if choices else Text("")


def optional(part: Shape) -> Shape:
    """It, or nothing."""
    return shapes.Repeat(part, least=0, most=1)


def read_arguments(name: str, texts: Mapping[str, str], tools: Sequence[Tool]) -> dict[str, Any]:
    """The values that texts are for a tool; a newline at either end belongs to the tags."""
    tool = next((tool for tool in tools if tool.name == name), Tool(name))
    return {
        key: read_argument(text.removeprefix("\n").removesuffix("\n"), key, tool)
        for key, text in texts.items()
    }


def read_argument(text: str, key: str, tool: Tool) -> Any:
    """The value that a text is."""
    if not isinstance(tool, CheckedTool):
        schema = tool.properties.get(key)
        return typed(text, schema if isinstance(schema, dict) else {})
    schema = argument_schema(tool, key)
    if RULES & schema.keys() and is_written_as_text(schema):
        return unquoted(text)
    return value_of(text, types_allowed(schema))


def unquoted(text: str) -> Any:
    """The value that a JSON text is; the text itself if it is none."""
    try:
        return gojson.decode(text)
    except ValueError:
        return text
