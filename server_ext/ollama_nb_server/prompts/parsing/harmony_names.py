"""Names of tools as gpt-oss sees them: those of functions in TypeScript.

Source: reference/ollama-models.md 7.4. Prompts and parsers use the same mapping.
"""

from __future__ import annotations

import string
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

# Tools that the model knows by these names.
BUILT_IN = frozenset({"browser.open", "browser.search", "browser.find", "python"})


def harmony_names(names: Iterable[str]) -> list[str]:
    """What each tool is called in the prompt, in the order of the tools.

    Examples
    --------
    >>> harmony_names(["get it", "get-it", "2nd", "python"])
    ['get_it', 'get_it_2', '_2nd', 'python']
    """
    found: list[str] = []
    taken: set[str] = set()
    for name in names:
        known = name in BUILT_IN or not name
        found.append(name if known else _free(_identifier(name), taken))
        taken.add(found[-1])
    return found


def with_harmony_names(tools: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Tools, as templates get them, with these names."""
    names = harmony_names(tool["function"]["name"] for tool in tools)
    return [
        {**tool, "function": {**tool["function"], "name": name}}
        for tool, name in zip(tools, names, strict=True)
    ]


def _identifier(name: str) -> str:
    letters = "".join("_" if one in " -." else one for one in name)
    kept = "".join(one for one in letters if one.isalpha() or one.isdecimal() or one in "_$")
    if not kept:
        return "unnamed"
    return f"_{kept}" if kept[0] in string.digits else kept


def _free(name: str, taken: set[str]) -> str:
    free, count = name, 2
    while free in taken:
        free, count = f"{name}_{count}", count + 1
    return free
