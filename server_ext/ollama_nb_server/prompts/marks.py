"""Marks behind the first letters of reserved texts in what a template is given.

A template that writes a content down writes its marks too, and so tells whose text is whose. Blanks
are trimmed, and texts are joined, as if there were no marks.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from ollama_nb_server.prompts.conversation import Turn
from ollama_nb_server.prompts.reserved import TextFinder

PRIVATE = range(0xE000, 0xF900)  # letters without a meaning
SPOKEN = ("content", "thinking")  # of a turn
WRITTEN = ("tool_calls", "tool_name", "tool_call_id")


def unused_letter(texts: Iterable[str]) -> str:
    """A letter that no text has in any of its forms; "" if none is left."""
    texts = list(texts)
    letters = set[str]().union(*texts)
    free = (letter for letter in map(chr, PRIVATE) if letter not in letters)
    return next((letter for letter in free if not _is_written(letter, texts)), "")


def _is_written(letter: str, texts: Iterable[str]) -> bool:
    return any(form in text for text in texts for form in forms(letter)[1:])


def forms(letter: str) -> tuple[str, ...]:
    """A letter as it stands in a text, in a quoted one (JSON, Go, Python), and in a URL."""
    return letter, json.dumps(letter)[1:-1], quote(letter)


def starts(text: str, finder: TextFinder) -> list[int]:
    """Where reserved texts begin in a text, or might with what will follow it."""
    if not finder.may_find(text):
        return []
    return sorted({at for at, _ in finder.starts(text)} | set(finder.begun_at_end(text)))


def marked(text: str, at: Iterable[int], mark: str) -> str:
    """A text with a mark behind the letter at each of these places, which are in order."""
    parts, done = [], 0
    for place in at:
        parts.append(text[done : place + 1])
        done = place + 1
    return mark.join((*parts, text[done:]))


def texts_in(value: Any) -> Iterator[tuple[str, bool]]:
    """Every text of a content, and whether they are an assistant's own words."""
    if isinstance(value, str):
        yield value, False
    elif isinstance(value, Turn):
        own = value.role == "assistant"
        yield from ((text, own) for text in (value.content, value.thinking) if text)
        yield value.role, False
        if others := [getattr(value, name) for name in WRITTEN if getattr(value, name)]:
            yield from texts_in(others)
    elif isinstance(value, dict):
        yield from texts_in([*value.keys(), *value.values()])
    elif isinstance(value, list | tuple):
        for item in value:
            yield from texts_in(item)


def replaced(value: Any, change: Callable[[str, bool], str]) -> Any:
    """The same content with other texts; `change` is given what `texts_in` yields."""
    if isinstance(value, str):
        return change(value, False)
    if isinstance(value, Turn):
        return _turn(value, change)
    if isinstance(value, dict):
        return {replaced(k, change): replaced(v, change) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(replaced(item, change) for item in value)
    return value


def _turn(turn: Turn, change: Callable[[str, bool], str]) -> Turn:
    own = turn.role == "assistant"
    spoken = {name: change(getattr(turn, name), own) for name in SPOKEN}
    others = {name: replaced(getattr(turn, name), change) for name in ("role", *WRITTEN)}
    changed: dict[str, Any] = spoken | others
    return replace(turn, **changed)
