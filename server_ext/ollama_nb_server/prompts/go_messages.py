"""Messages and tool calls as Go templates see them: Ollama's structs with Go's names.

How their parts print is `go_values`' business.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ollama_nb_server.gotemplate import Struct
from ollama_nb_server.prompts.conversation import Turn
from ollama_nb_server.prompts.go_values import JsonMap, Slice, from_json


class Arguments(JsonMap):
    """The arguments of a call."""

    go_type = "template.templateArgs"


def messages(turns: Iterable[Turn]) -> Slice:
    """The turns as `.Messages`."""
    return Slice("[]*template.templateMessage", map(message, turns))


def message(turn: Turn) -> Struct:
    """A turn. Its images are as many as they are, their bytes are not told to templates."""
    return Struct(
        "*template.templateMessage",
        {
            "Role": turn.role,
            "Content": turn.content,
            "Thinking": turn.thinking,
            "Images": Slice("[]api.ImageData", ([] for _ in range(turn.num_images))),
            "ToolCalls": Slice("[]template.templateToolCall", map(tool_call, turn.tool_calls)),
            "ToolName": turn.tool_name,
            "ToolCallID": turn.tool_call_id,
        },
    )


def tool_call(call: Mapping[str, Any]) -> Struct:
    """A call in OpenAI's shape; `index` may stand beside the function or in it."""
    called = call.get("function") or {}
    function = {
        "Index": called.get("index", call.get("index")) or 0,
        "Name": called.get("name") or "",
        "Arguments": Arguments(from_json(called.get("arguments"))),
    }
    return Struct(
        "template.templateToolCall",
        {
            "ID": call.get("id") or "",
            "Function": Struct("template.templateToolCallFunction", function),
        },
    )
