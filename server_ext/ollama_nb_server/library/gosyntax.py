"""Values as Go prints them, for `show` (reference/ollama-http-api.md 10.2)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
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
    """Go's shortest form of a float64, with an exponent below 1e-04 and from 1e+06 on (%#v)."""
    exact = Decimal(repr(value))
    if not exact or Decimal("1e-4") <= abs(exact) < Decimal("1e6"):
        return f"{exact:f}".removesuffix(".0")
    sign, digits, _ = exact.normalize().as_tuple()
    mantissa = "".join(map(str, digits))
    point = f".{mantissa[1:]}" if mantissa[1:] else ""
    return f"{'-' if sign else ''}{mantissa[0]}{point}e{exact.adjusted():+03d}"
