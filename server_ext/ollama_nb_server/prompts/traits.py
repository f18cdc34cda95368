"""What a Jinja chat template can take, found out by trying it.

llama.cpp asks the same questions before it uses a template (its `jinja/caps`); how the answers are
used is `native`'s to say.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ollama_nb_server.prompts import jinja
from ollama_nb_server.prompts.errors import TemplateFailed

MAX_SECONDS = 1.0  # a try, of two short messages
SYSTEM, USER, ANSWER = "qzsystemzq", "qzuserzq", "qzanswerzq"
KEY, VALUE = "qzkeyzq", "qzvaluezq"
CALL_ID = "call00001"  # nine letters and digits: some templates want just that
TOOL = {
    "type": "function",
    "function": {
        "name": "look",
        "description": "Looks.",
        "parameters": {
            "type": "object",
            "properties": {KEY: {"type": "string", "description": "What for."}},
            "required": [KEY],
        },
    },
}

Messages = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Traits:
    """What must be done to a conversation before this template writes it down.

    `typed_content`: it wants a list of parts where others want a text. `system_role`: it takes a
    message of the system. `text_arguments`: it wants the arguments of a tool call as JSON text.
    """

    typed_content: bool = False
    system_role: bool = True
    text_arguments: bool = False


@lru_cache(maxsize=64)
def traits(source: str) -> Traits:
    """Try a template out; one that fails on everything is taken for a usual one."""
    typed = _wants_parts(source)
    return Traits(typed, _takes_system(source, typed), _wants_text(source, typed))


def _tried(source: str, messages: Messages, typed: bool, **variables: Any) -> str:
    """The text, empty if the template refuses."""
    if typed:
        messages = [{**m, "content": as_parts(m["content"])} for m in messages]
    given = {"messages": messages, "bos_token": "", "eos_token": "", **variables}
    try:
        return jinja.render(
            source, {**given, "add_generation_prompt": True}, max_seconds=MAX_SECONDS
        )
    except TemplateFailed:
        return ""


def as_parts(content: str) -> list[dict[str, str]]:
    """A text as a list of one part."""
    return [{"type": "text", "text": content}]


def _wants_parts(source: str) -> bool:
    user = [{"role": "user", "content": USER}]
    return USER not in _tried(source, user, False) and USER in _tried(source, user, True)


def _takes_system(source: str, typed: bool) -> bool:
    system = {"role": "system", "content": SYSTEM}
    user = {"role": "user", "content": USER}
    merged = {"role": "user", "content": f"{SYSTEM}\n{USER}"}
    return SYSTEM in _tried(source, [system, user], typed) or (
        SYSTEM not in _tried(source, [merged], typed)
    )


def _wants_text(source: str, typed: bool) -> bool:
    """Python's own way to print an object is no model's: such a template wants text."""
    as_object = _tried(source, _round_trip({KEY: VALUE}), typed, tools=[TOOL])
    as_text = _tried(source, _round_trip(f'{{"{KEY}":"{VALUE}"}}'), typed, tools=[TOOL])
    if VALUE not in as_text:
        return False
    return VALUE not in as_object or f"'{KEY}': '{VALUE}'" in as_object


def _round_trip(arguments: Any) -> Messages:
    function = {"name": "look", "arguments": arguments}
    call = {"type": "function", "function": function, "id": CALL_ID}
    return [
        {"role": "user", "content": USER},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "7", "name": "look", "tool_call_id": CALL_ID},
        {"role": "assistant", "content": ANSWER},
        {"role": "user", "content": USER},
    ]
