"""JSON as Go's encoder writes it: digests depend on every byte (reference/ollama-models.md 2.5)."""

from __future__ import annotations

import json
from typing import Any

from ollama_nb_server.gotemplate.json_text import number, text

__all__ = ["encode", "number"]


def encode(value: Any, *, sort_keys: bool = False) -> bytes:
    """Compact JSON with five letters escaped, and a newline at the end."""
    return f"{_encoded(value, sort_keys)}\n".encode()


def _encoded(value: Any, sort_keys: bool) -> str:
    if isinstance(value, dict):
        items = sorted(value.items()) if sort_keys else value.items()
        pairs = (f"{text(key)}:{_encoded(item, sort_keys)}" for key, item in items)
        return "{" + ",".join(pairs) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(_encoded(item, sort_keys) for item in value) + "]"
    if isinstance(value, str):
        return text(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return number(value)
    return json.dumps(value)
