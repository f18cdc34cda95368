"""Messages of a chat, made of what a caller writes: texts, dicts, the `ollama` client's objects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ollama_nb.asking.templating import Rendered
from ollama_nb.errors import BadMessage, NotText
from ollama_nb.pictures.picture import pictures_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ollama_nb.pictures.picture import Picture


def message_of(turn: Any) -> dict[str, Any]:
    """Return a message as Ollama's API takes it; a text or a `Rendered` is one of the user.

    Raises
    ------
    BadMessage
        For anything but a text or a message.
    NotText
        If its content is something else than text.
    NotAPicture
        If one of its images is none.
    """
    if isinstance(turn, Rendered):
        shown = {"images": list(turn.images)} if turn.images else {}
        return {"role": "user", "content": turn.text, **shown}
    if isinstance(turn, str):
        return {"role": "user", "content": str(turn)}
    if hasattr(turn, "model_dump"):  # the `ollama` client's Message
        turn = turn.model_dump(exclude_none=True)
    if not isinstance(turn, Mapping):
        kind = type(turn).__name__
        raise BadMessage(f'a message is a text or {{"role": ..., "content": ...}}, not {kind}')
    message = {name: value for name, value in turn.items() if value is not None}
    if not isinstance(message.get("content", ""), str):
        raise NotText("a message's content", message["content"])
    if "images" in message:
        message["images"] = pictures_of(message["images"], "images")
    if "tool_calls" in message:
        message["tool_calls"] = [_plain(call) for call in message["tool_calls"]]
    return message


def _plain(call: Any) -> Any:
    return call.model_dump(exclude_none=True) if hasattr(call, "model_dump") else call


def with_pictures(
    messages: list[dict[str, Any]], pictures: Sequence[Picture]
) -> list[dict[str, Any]]:
    """Give the last message pictures, beside those that it has.

    Raises
    ------
    BadMessage
        If it is not one of the user.
    """
    if not pictures:
        return messages
    *before, last = messages or [{}]
    if last.get("role") != "user":
        raise BadMessage("images go with the last message, which is not one of the user")
    return [*before, {**last, "images": [*last.get("images", ()), *pictures]}]
