"""`Tool`: a function with the definition of it that a model is sent.

How a function's parameters become a JSON Schema is in `signatures`.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ollama_nb.tools.docstrings import described
from ollama_nb.tools.errors import BadTool
from ollama_nb.tools.signatures import Signature, signature_of

_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Tool:
    """What a model may call.

    Parameters
    ----------
    name
        What the model calls it by.
    definition
        As Ollama's API takes it.
    function, signature
        What runs, and what it takes; None where running it is the caller's business.
    """

    name: str
    definition: dict[str, Any]
    function: Callable[..., Any] | None = None
    signature: Signature | None = None


def tools_of(wished: Any) -> dict[str, Tool]:
    """Return the tools of a call's `tools=` by name; one that is no list is a list of one.

    Raises
    ------
    BadTool
        For something that is no tool, or two of the same name.
    """
    alone = callable(wished) or isinstance(wished, Mapping)
    found: dict[str, Tool] = {}
    for wish in [wished] if alone else wished or ():
        tool = tool_of(wish)
        if tool.name in found:
            raise BadTool(f"two tools are called {tool.name!r}; a model could not tell them apart")
        found[tool.name] = tool
    return found


def tool_of(wish: Any) -> Tool:
    """Turn a function, or a definition as Ollama's API has it, into a tool.

    Raises
    ------
    BadTool
        If it is neither, or if a model could not call it.
    """
    if isinstance(wish, Tool):
        return wish
    if hasattr(wish, "model_dump") and not isinstance(wish, type):  # the `ollama` client's Tool
        wish = wish.model_dump(exclude_none=True, by_alias=True)
    if isinstance(wish, Mapping):
        return _of_definition(wish)
    if callable(wish) and not isinstance(wish, type):
        return _of_function(wish)
    what = f"the class {wish.__name__}" if isinstance(wish, type) else f"a {type(wish).__name__}"
    raise BadTool(f"{what} is no tool; give a function with type hints, or a definition as a dict")


def _of_definition(definition: Mapping[str, Any]) -> Tool:
    function = definition.get("function")
    name = function.get("name") if isinstance(function, Mapping) else None
    if not (name and isinstance(name, str)):
        raise BadTool(
            'a tool as a dict is {"type": "function", "function": {"name": ..., "description": '
            '..., "parameters": {...}}}'
        )
    return Tool(name, {"type": "function", **definition})


def _of_function(function: Callable[..., Any]) -> Tool:
    name = getattr(function, "__name__", "")
    if not _NAME.fullmatch(name):
        what = name or type(function).__name__
        raise BadTool(f"{what} has no name that a model could call; write it as a def")
    about = described(inspect.getdoc(function))
    signature = signature_of(function, name, about.parameters)
    said = {"description": about.summary} if about.summary else {}
    told = {"name": name, **said, "parameters": signature.schema}
    return Tool(name, {"type": "function", "function": told}, function, signature)
