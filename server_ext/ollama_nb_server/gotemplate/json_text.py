"""Texts and numbers as Go's JSON encoder writes them: digests and prompts depend on every byte.

What they belong to is known to those who write documents (library, prompts).
"""

from __future__ import annotations

import json
from decimal import Decimal

LINES = {"\u2028": "\\u2028", "\u2029": "\\u2029"}  # line ends in JavaScript
LINE_ESCAPES = str.maketrans(LINES)
ESCAPES = str.maketrans(LINES | {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})
EXACT = 2**53  # beyond it a float64, which is what Go reads every number into, is no longer exact


def text(value: str, *, html: bool = True) -> str:
    """A string, safe within `html` or not.

    Half a surrogate pair is no text, and becomes U+FFFD as in Go.
    """
    whole = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return json.dumps(whole, ensure_ascii=False).translate(ESCAPES if html else LINE_ESCAPES)


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
