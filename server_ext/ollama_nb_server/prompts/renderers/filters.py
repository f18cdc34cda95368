"""The filters of our templates: what Go's standard library does with texts and values.

Each is as Ollama's renderers use it, not Go's function with all it can.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ollama_nb_server.gotemplate.formatting import show
from ollama_nb_server.gotemplate.quoting import quote as go_quote
from ollama_nb_server.prompts import go_json
from ollama_nb_server.prompts.budget import running
from ollama_nb_server.prompts.renderers.gemma_schema import braced, declared_properties, go_upper

# Python's own idea of a blank has four control characters more.
GO_SPACES = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
REPLACEMENT = "\ufffd"
CHANNEL = re.compile(r"<\|channel>.*?(?:<channel\|>|\Z)", re.DOTALL)
CLOSING = re.compile("<([\ue000-\uf8ff]?)/think>")
HIDDEN = re.compile("<([\ue000-\uf8ff]?)_end_think>")
INDENT = 4


def json(value: Any, *, spaced: bool = False, html: bool = True) -> str:
    """Go's JSON, with blanks behind `:` and `,` if `spaced`; `html` escapes `<`, `>` and `&`."""
    return go_json.encode(value, go_json.Form(spaced=spaced, html=html))


def indented_json(value: Any, level: int = 1) -> str:
    """Go's JSON over lines."""
    if not isinstance(value, dict | list) or not value:
        return go_json.encode(value)
    running().expect(INDENT * level * len(value))
    line = "\n" + " " * INDENT * level
    ends, parts = "[]", [indented_json(item, level + 1) for item in value]
    if isinstance(value, dict):
        items = value.items() if isinstance(value, go_json.Ordered) else sorted(value.items())
        ends = "{}"
        parts = [f"{json(name)}: {indented_json(item, level + 1)}" for name, item in items]
    inner = ",".join(line + part for part in parts)
    return f"{ends[0]}{inner}{line[:-INDENT]}{ends[1]}"


def generic(value: Any) -> Any:
    """A document without an order of its own: what Go makes of JSON that it knows nothing of."""
    if isinstance(value, dict):
        return {name: generic(item) for name, item in value.items()}
    return [generic(item) for item in value] if isinstance(value, list) else value


def argument(value: Any, *, spaced: bool = False, html: bool = True) -> str:
    """An argument of a call: text as it is, lists and objects as JSON."""
    if isinstance(value, dict | list):
        return json(value, spaced=spaced, html=html)
    return "null" if value is None else show(value)


def python_json(value: Any) -> str:
    """JSON as Python spaces it, with texts as Go quotes them."""
    if isinstance(value, dict):
        items = value.items() if isinstance(value, go_json.Ordered) else sorted(value.items())
        return "{" + ", ".join(f"{go_quote(k)}: {python_json(v)}" for k, v in items) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(python_json, value))}]"
    return go_quote(value) if isinstance(value, str) else go_json.encode(value)


def trim_space(text: str) -> str:
    """The text without what Go takes for blanks at its ends."""
    return text.strip(GO_SPACES)


def trim_space_right(text: str) -> str:
    """The same, at its right end only."""
    return text.rstrip(GO_SPACES)


def with_images(content: str, num_images: int, first: int = 0) -> str:
    """A message's text with an `[img-N]` for each of its images, N counting from `first`.

    A literal `[img]` is where the next one goes; without it the tags stand in front, a blank behind
    them. Who writes such tags knows where the images go.
    """
    if not num_images or "[img-" in content:
        return content
    tags = [f"[img-{number}]" for number in range(first, first + num_images)]
    pieces = content.split("[img]", num_images)
    placed = len(pieces) - 1
    text = pieces[0] + "".join(tag + piece for tag, piece in zip(tags, pieces[1:], strict=False))
    in_front = "".join(tags[placed:])
    apart = in_front and text and text[0] not in GO_SPACES + REPLACEMENT
    return f"{in_front}{' ' if apart else ''}{text}"


def without_channels(text: str) -> str:
    """An answer of Gemma without its thoughts."""
    return trim_space(CHANNEL.sub("", text))


def without_switches(text: str) -> str:
    """A text without Nemotron's `/think` and `/no_think`; a closing tag is no switch.

    Marks that tell a user's tag from a template's leave it a tag.
    """
    kept = CLOSING.sub(r"<\1_end_think>", text)
    return HIDDEN.sub(r"<\1/think>", kept.replace("/think", "").replace("/no_think", ""))


def namespaces(tools: Iterable[Mapping[str, Any]]) -> list[str]:
    """What stands before the first dot in the tools' names, each once."""
    return list(dict.fromkeys(tool["function"]["name"].partition(".")[0] for tool in tools))


FILTERS: Mapping[str, Callable[..., Any]] = {
    "json": json,
    "indented_json": indented_json,
    "python_json": python_json,
    "generic": generic,
    "argument": argument,
    "printed": show,
    "go_upper": go_upper,
    "trim_space": trim_space,
    "trim_space_right": trim_space_right,
    "with_images": with_images,
    "without_channels": without_channels,
    "without_switches": without_switches,
    "namespaces": namespaces,
    "braced": braced,
    "gemma_properties": declared_properties,
}
