"""Values as Go prints them, for `show` (reference/ollama-http-api.md 10.2)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ollama_nb_server.gotemplate.formatting import show


def parameter_lines(parameters: Mapping[str, Any]) -> str:
    """One line a value: the name padded to 30, the value as Go's %#v prints it."""
    lines = []
    for name, value in sorted(parameters.items()):
        values = value if isinstance(value, list) else [value]
        lines += [f"{name:<30} {go_syntax(item)}" for item in values]
    return "\n".join(lines)


def go_syntax(value: Any) -> str:
    """A JSON value as Go's %#v prints it."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return show(float(value))
    return json.dumps(value)
