"""Bounds of numbers: so narrow that what reads JSON reads them exactly, and none is endless.

How many digits are written where nothing bounds a number is in `numerals`.
"""

from __future__ import annotations

from typing import Any

from ollama_nb_server.engine.errors import GrammarRefused
from ollama_nb_server.engine.grammars.schemas.keywords import NUMBERS, VALUES

MOST_EXACT = 2**53 - 1  # what a double, so JavaScript, tells from its neighbours (RFC 8259, 6)
MOST_USUAL = 10**16
FARTHEST = 10**18  # llguidance counts in 64 bits
STEP = 1024  # a multiple of the distance of doubles up to there

BEYOND = "numbers farther from 0 than 10^18 cannot be promised; ask for a text"

LOWER = (("minimum", "exclusiveMinimum"), -1)
UPPER = (("maximum", "exclusiveMaximum"), 1)


def bound(made: dict[str, Any], place: str, *, fill: bool) -> None:
    """Draw in bounds that are farther out than can be compiled; with `fill`, add missing ones.

    A number without any bound keeps none: only so can it be written with an exponent.

    Raises
    ------
    GrammarRefused
        If only numbers fit that are farther out.
    """
    kinds = made.get("type", ["number"] if made.keys() & set(NUMBERS) else [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if any(keyword in made for keyword in VALUES) or not isinstance(kinds, list):
        return
    whole = "integer" in kinds and "number" not in kinds
    bounds = [keyword for keywords, _ in (LOWER, UPPER) for keyword in keywords if keyword in made]
    if whole or ("number" in kinds and bounds):
        _draw_in(made, place)
        if fill:
            _fill(made, MOST_EXACT if whole else MOST_USUAL)


def check_exact(value: Any, place: str) -> None:
    """Refuse integers in a constant that are read as their neighbours.

    Raises
    ------
    GrammarRefused
        With the place of such a constant.
    """
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            check_exact(inner, place)
    elif isinstance(value, int) and int(float(value)) != value:
        raise GrammarRefused(f"{value} is read as {int(float(value))}; write it as a text", place)


def modern(made: dict[str, Any]) -> None:
    """Say exclusive bounds as numbers, which were true or false until draft 4."""
    for keyword, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        said = made.pop(exclusive) if isinstance(made.get(exclusive), bool) else False
        if said and keyword in made:
            made[exclusive] = made.pop(keyword)


def _draw_in(made: dict[str, Any], place: str) -> None:
    for keywords, sign in (LOWER, UPPER):
        for keyword in (k for k in keywords if _is_number(made.get(k))):
            outward = made[keyword] * sign
            if outward < -FARTHEST:
                raise GrammarRefused(BEYOND, f"{place}/{keyword}")
            if outward > FARTHEST:
                made[keyword] = sign * FARTHEST
            elif isinstance(outward, int) and int(float(outward)) != outward:
                made[keyword] = sign * (outward // STEP * STEP)


def _fill(made: dict[str, Any], usual: int) -> None:
    """Put a bound where there is none: the usual one, unless nothing would be left."""
    for (keywords, sign), (others, _) in ((LOWER, UPPER), (UPPER, LOWER)):
        if not any(keyword in made for keyword in keywords):
            beyond = [made[k] * sign for k in others if _is_number(made.get(k))]
            most = usual if all(value < usual for value in beyond) else FARTHEST
            made[keywords[0]] = sign * most


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
