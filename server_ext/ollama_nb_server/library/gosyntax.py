"""Values as Go prints them, for `show` (reference/ollama-http-api.md 10.2)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


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
        return _number(float(value))
    return json.dumps(value)


def _number(value: float) -> str:
    """Go's shortest form of a float64: exponents from 1e+06 for %#v, from 1e+21 on for others."""
    if value.is_integer() and abs(value) < 1e6:
        return str(int(value))
    text = repr(value)
    if value != 0 and (abs(value) >= 1e6 or abs(value) < 1e-4):
        mantissa, _, exponent = f"{value:.16e}".partition("e")
        digits = len(repr(value).replace(".", "").replace("-", "").split("e")[0].strip("0")) or 1
        mantissa = f"{value:.{max(digits - 1, 0)}e}".partition("e")[0]
        sign = exponent[0]
        return f"{mantissa}e{sign}{int(exponent[1:]):02d}"
    return text
