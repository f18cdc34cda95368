"""What `score()` may be asked about: a prompt, many, one with pictures, or a conversation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ollama_nb.asking.messages import message_of, with_pictures
from ollama_nb.asking.templating import Rendered, text_alone
from ollama_nb.errors import BadMessage, NotText
from ollama_nb.pictures.picture import pictures_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ollama_nb.pictures.picture import Picture


@dataclass(frozen=True)
class Asked:
    """The prompts of a call.

    Attributes
    ----------
    texts
        A text a prompt; a conversation is one prompt, whose text says nothing.
    fields
        What goes with them, by the names of the API.
    index
        What the rows of a table of them are called; None for a single one.
    """

    texts: tuple[str, ...]
    fields: Mapping[str, Any] = field(default_factory=dict)
    index: Any = None


def asked_of(prompt: Any, images: Any, system: str | None, *, raw: bool) -> Asked:
    """Read what a call asks about.

    Raises
    ------
    NotText
        For a prompt that is not a text; missing values (NA) too.
    BadMessage
        For a message that is none, or a conversation that is to be sent `raw`; for pictures with
        many prompts.
    NotAPicture
        If one of `images` is none.
    """
    pictures = pictures_of(images)
    if _is_conversation(prompt):
        return _conversation(prompt, pictures, system, raw=raw)
    fields = {"system": system, "raw": raw or None}
    if isinstance(prompt, Rendered):
        prompt, pictures = prompt.text, [*prompt.images, *pictures]
    shown = {"images": pictures} if pictures else {}
    if isinstance(prompt, str):
        return Asked((str(prompt),), {**fields, **shown})
    if pictures:
        raise BadMessage("images belong to one prompt, or to a conversation: score one at a time")
    return _many(prompt, fields)


def _is_conversation(prompt: Any) -> bool:
    """Whether there are messages in a list, as chat() takes it; texts alone are many prompts."""
    return isinstance(prompt, list | tuple) and any(map(_is_message, prompt))


def _is_message(value: Any) -> bool:
    return isinstance(value, Mapping) or hasattr(value, "model_dump")


def _conversation(
    turns: Sequence[Any], pictures: Sequence[Picture], system: str | None, *, raw: bool
) -> Asked:
    if raw:
        raise BadMessage("raw is for a prompt: a model's template writes messages down")
    leading = [{"role": "system", "content": system}] if system else []
    messages = with_pictures([*leading, *map(message_of, turns)], pictures)
    return Asked(("",), {"messages": messages})


def _many(prompts: Any, fields: Mapping[str, Any]) -> Asked:
    if not hasattr(prompts, "__iter__") or isinstance(prompts, bytes):
        raise NotText("the prompt", prompts)
    texts = list(prompts)
    index = getattr(prompts, "index", None)
    index = range(len(texts)) if index is None or callable(index) else index
    for label, text in zip(index, texts, strict=True):
        if not isinstance(text, str | Rendered):
            raise NotText(f"the prompt at {label!r}", text)
    alone = [text_alone(text, "one of many prompts") for text in texts]
    return Asked(tuple(map(str, alone)), fields, index)
