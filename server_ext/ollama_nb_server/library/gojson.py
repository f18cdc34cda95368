"""JSON as Go's encoder writes it: digests depend on every byte (reference/ollama-models.md 2.5)."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
EXACT = 2**53  # beyond it a float64, which is what Go reads every number into, is no longer exact


def encode(value: Any, *, sort_keys: bool = False) -> bytes:
    """Compact JSON with five letters escaped, and a newline at the end."""
    return f"{_encoded(value, sort_keys)}\n".encode()


def _encoded(value: Any, sort_keys: bool) -> str:
    if isinstance(value, dict):
        items = sorted(value.items()) if sort_keys else value.items()
        pairs = (f"{_text(key)}:{_encoded(item, sort_keys)}" for key, item in items)
        return "{" + ",".join(pairs) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(_encoded(item, sort_keys) for item in value) + "]"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return number(value)
    return json.dumps(value)


def _text(text: str) -> str:
    """A string; half a surrogate pair is no text, and becomes U+FFFD as in Go."""
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    quoted = json.dumps(whole, ensure_ascii=False)
    for letter, escape in ESCAPES.items():
        quoted = quoted.replace(letter, escape)
    return quoted


def number(value: float) -> str:
    """A number as Go prints a float64: 1.0 is 1, 1e-05 is 0.00001, 1e-07 is 1e-7.

    Raises
    ------
    ValueError
        For NaN and infinities, which JSON does not have.
    """
    if isinstance(value, int) and abs(value) <= EXACT:
        return str(value)
    exact = Decimal(repr(float(value)))
    if not exact.is_finite():
        raise ValueError(f"{value} has no form in JSON")
    if exact == 0 or Decimal("1e-6") <= abs(exact) < Decimal("1e21"):
        return f"{exact:f}".removesuffix(".0")
    sign, digits, _ = exact.normalize().as_tuple()
    mantissa = "".join(map(str, digits))
    point = f".{mantissa[1:]}" if mantissa[1:] else ""
    return f"{'-' if sign else ''}{mantissa[0]}{point}e{exact.adjusted():+d}"
