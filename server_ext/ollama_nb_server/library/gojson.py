"""JSON as Go's encoder writes it: digests depend on every byte (reference/ollama-models.md 2.5)."""

from __future__ import annotations

import json
from typing import Any

ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def encode(value: Any, *, sort_keys: bool = False) -> bytes:
    """Compact JSON with five letters escaped, and a newline at the end."""
    text = json.dumps(
        _numbers(value), sort_keys=sort_keys, separators=(",", ":"), ensure_ascii=False
    )
    for letter, escape in ESCAPES.items():
        text = text.replace(letter, escape)
    return f"{text}\n".encode()


def _numbers(value: Any) -> Any:
    """Whole floats as Go prints them: 1.0 becomes 1."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        return int(value)
    if isinstance(value, dict):
        return {key: _numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    return value
