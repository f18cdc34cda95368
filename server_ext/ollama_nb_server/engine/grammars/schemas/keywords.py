"""Which keywords of JSON Schema are kept to, which are refused; the rest are annotations.

What is done with each of them is in `rewriting`.
"""

from __future__ import annotations

from typing import Any

Node = dict[str, Any] | bool

MAPS = ("properties", "patternProperties")  # keywords whose values' values are schemas
CHOICES = ("anyOf", "oneOf")
LISTS = (*CHOICES, "allOf", "prefixItems")
SINGLES = ("items", "additionalItems", "additionalProperties")
UNEVALUATED = {
    "unevaluatedProperties": "additionalProperties",
    "unevaluatedItems": "items",
}  # with what says the same where nothing is combined
COMBINED = frozenset((*CHOICES, "allOf", "$ref"))
VALUES = ("enum", "const")
STRINGS = ("minLength", "maxLength", "pattern", "format")
NUMBERS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
PLAIN = (
    *("type", *VALUES, "required", "minProperties", "maxProperties"),
    *("minItems", "maxItems", "minLength", "maxLength", "pattern", *NUMBERS),
)
REWRITTEN = ("format", "propertyNames", "uniqueItems", *UNEVALUATED)  # where it can be
PARTS = frozenset((*MAPS, *LISTS, *SINGLES, *PLAIN, "$ref", *REWRITTEN))
# Keywords that decide what is valid and that no grammar here can promise; the value that says
# nothing is let through. Whatever is in none of these lists is an annotation (JSON Schema 6.5).
REFUSED: dict[str, Any] = {
    **dict.fromkeys(("not", "if", "then", "else", "contains")),
    **{keyword: {} for keyword in ("dependentRequired", "dependentSchemas", "dependencies")},
    **dict.fromkeys(("$dynamicRef", "$recursiveRef")),
}


def escaped(name: str) -> str:
    """A key as a part of a JSON pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")
