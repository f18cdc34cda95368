"""What a Jinja chat template is given: the messages and variables that llama-server gives it.

Ollama leaves a model without a template of its own to llama-server (reference/ollama-models.md
6.1). What a given template can take is found out in `traits`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from ollama_nb_server.prompts import go_json
from ollama_nb_server.prompts.conversation import Turn
from ollama_nb_server.prompts.jinja import Missing
from ollama_nb_server.prompts.traits import Traits, as_parts

# Templates with this sign, gpt-oss's, know a developer; for all others he is the system.
KNOWS_DEVELOPERS = "<|channel|>"

Message = dict[str, Any]


class Messages(list[Message]):
    """A conversation, in which what is beyond its end is missing and no error, as in llama.cpp.

    Half of the published templates ask for `messages[0].role`, and there is no message when an
    answer that has begun was all there was.
    """

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return Messages(super().__getitem__(index))
        try:
            return super().__getitem__(index)
        except IndexError:
            return Missing(name=f"messages[{index}]")


def messages(turns: Sequence[Turn], source: str, traits: Traits) -> Messages:
    """The conversation in the keys and shapes that this template takes; past thoughts are gone."""
    shaped = [_message(turn, traits) for turn in turns]
    if KNOWS_DEVELOPERS not in source:
        shaped = [m | {"role": "system"} if m["role"] == "developer" else m for m in shaped]
    if not traits.system_role:
        shaped = _system_merged(shaped)
    if traits.typed_content:
        shaped = [m | {"content": as_parts(m["content"])} for m in shaped]
    return Messages(shaped)


def _message(turn: Turn, traits: Traits) -> Message:
    """In llama.cpp's order, for templates that print a message as JSON."""
    keys: Message = {"role": turn.role, "content": turn.content}
    if turn.tool_name:
        keys["name"] = turn.tool_name
    if turn.tool_call_id:
        keys["tool_call_id"] = turn.tool_call_id
    if turn.tool_calls:
        keys["tool_calls"] = [_call(call, traits) for call in turn.tool_calls]
    return keys


def _call(call: dict[str, Any], traits: Traits) -> dict[str, Any]:
    arguments = call["function"]["arguments"]
    if traits.text_arguments and not isinstance(arguments, str):
        arguments = go_json.encode(go_json.Ordered(arguments))
    function = {"name": call["function"]["name"], "arguments": arguments}
    known = {"type": "function", "function": function}
    return known | ({"id": call["id"]} if call.get("id") else {})


def _system_merged(shaped: Sequence[Message]) -> list[Message]:
    """What the system says, at the head of the message that follows it.

    With nothing to follow there is no place for it, and llama.cpp drops it too.
    """
    merged: list[Message] = []
    said: list[str] = []
    for message in shaped:
        if message["role"] == "system":
            said.append(message["content"])
        else:
            content = "\n".join([*said, message["content"]])
            merged.append(message | {"content": content})
            said = []
    return merged


def tools(offered: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The tools with the three keys that llama.cpp passes on, a description always among them."""
    return [{"type": "function", "function": _function(tool["function"])} for tool in offered]


def _function(function: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": function["name"],
        "description": function.get("description") or "",
        "parameters": function.get("parameters") or {},
    }


def variables(now: datetime, think: bool | str | None) -> dict[str, Any]:
    """What a template may ask for besides the messages.

    `tools` and `documents` that there are not stay undefined: some templates loop over them where
    they are defined, None or not.
    """
    return {
        "add_generation_prompt": True,
        "datetime": now.strftime("%b %d %Y"),
        "date_string": now.strftime("%d %b %Y"),
        **_thinking(think),
    }


def _thinking(think: bool | str | None) -> dict[str, Any]:
    """Reference/ollama-http-api.md 4.5; the effort goes by two names."""
    if think is None:
        return {}
    if isinstance(think, str):
        return {"enable_thinking": True, "reasoning_effort": think, "reasoning_strength": think}
    return {"enable_thinking": think}
