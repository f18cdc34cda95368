"""What a family says of a message only in the light of others: prepared in one pass over all.

Templates could look it up, but by going through the conversation for each of its messages.
"""

from __future__ import annotations

from ollama_nb_server.prompts.renderers.documents import Message

ASSISTANTS = ("assistant", "chatbot")


def add_results(messages: list[Message]) -> None:
    """Gemma: a message's `place`, the tools' `results` right behind it, and the `next_role`."""
    next_role, results = "", list[Message]()
    for place, message in reversed(list(enumerate(messages))):
        message |= {"place": place, "results": [], "next_role": next_role}
        if message["role"] == "tool":
            results.append(message)
            continue
        message["results"] = results[::-1]
        next_role, results = message["role"], []


def add_call_numbers(messages: list[Message]) -> None:
    """Cohere: calls counted over the conversation, and for a result the `call_number` it answers.

    A result of an id that no earlier call has keeps that id.
    """
    count, numbers = 0, dict[str, str]()
    for message in messages:
        if message["role"] in ASSISTANTS:
            for call in message["tool_calls"]:
                call["number"] = str(count)
                numbers.setdefault(call["id"], str(count))
                count += 1
        own = message["tool_call_id"]
        message["call_number"] = numbers.get(own, own) if own else ""


def add_result_names(messages: list[Message]) -> None:
    """Glimmer: the `result_name` of a tool: as told, else that of the last call with its id."""
    names = {call["id"]: call["name"] for m in messages for call in m["tool_calls"]}
    for message in messages:
        own = message["tool_call_id"]
        message["result_name"] = message["tool_name"] or (names.get(own, own) if own else "")
