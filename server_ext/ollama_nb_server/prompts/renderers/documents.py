"""Turns and tools as the templates of families see them: plain documents, Go's values in them.

Every number is a float as in Go; `Ordered` tells what has an order of its own from what Go sorts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ollama_nb_server.prompts.conversation import Turn
from ollama_nb_server.prompts.go_json import Ordered, SelfEncoding
from ollama_nb_server.prompts.go_values import from_json

Message = dict[str, Any]


def message(turn: Turn) -> Message:
    """A turn."""
    return {
        "role": turn.role,
        "content": turn.content,
        "thinking": turn.thinking,
        "num_images": turn.num_images,
        "tool_calls": [_call(call) for call in turn.tool_calls],
        "tool_name": turn.tool_name,
        "tool_call_id": turn.tool_call_id,
    }


def _call(call: Mapping[str, Any]) -> dict[str, Any]:
    function = call["function"]
    arguments = {name: from_json(value) for name, value in function["arguments"].items()}
    return {"id": call["id"], "name": function["name"], "arguments": SelfEncoding(arguments)}


def tool(offered: Mapping[str, Any]) -> Ordered:
    """A tool in OpenAI's shape, with the keys that Ollama knows and no others."""
    function = offered["function"]
    described = Ordered(function, parameters=_schema(function["parameters"]))
    items = {"items": from_json(offered["items"])} if "items" in offered else {}
    return Ordered(type=offered["type"], **items, function=described)


def _schema(schema: Mapping[str, Any]) -> Ordered:
    """The schema of parameters, or of one of them: only properties have an order within."""
    return Ordered({key: _part(key, value) for key, value in schema.items()})


def _part(key: str, value: Any) -> Any:
    if key == "properties" and value is not None:
        return SelfEncoding({name: _schema(schema) for name, schema in value.items()})
    if key == "anyOf":
        return [_schema(schema) for schema in value]
    return from_json(value)
