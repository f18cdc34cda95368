"""Whether a model must call a tool, and which: what `tool_choice=` says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ollama_nb.tools.errors import BadTool

CHOICES = ("auto", "required", "none")


def chosen(choice: Any, tools: Mapping[str, Any]) -> str | dict[str, Any]:
    """Return the choice as our server's API takes it; None is "auto".

    Parameters
    ----------
    choice
        One of `CHOICES`, the name of a tool, the function itself, or what the API takes.
    tools
        Those that are offered, by name.

    Raises
    ------
    BadTool
        For anything else.
    """
    if not tools:
        raise BadTool("tool_choice chooses among tools, and there are none: give tools=[...]")
    if choice is None:
        return "auto"
    if isinstance(choice, Mapping):
        return dict(choice)
    name = choice if isinstance(choice, str) else getattr(choice, "__name__", None)
    if isinstance(name, str) and name in tools:
        return {"function": {"name": name}}
    if name in CHOICES:
        return str(name)
    raise BadTool(
        f"tool_choice is one of {', '.join(CHOICES)}, or one of the tools "
        f"({', '.join(tools)}), not {choice!r}"
    )
