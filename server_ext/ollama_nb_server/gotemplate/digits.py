"""The text of Go's numbers: integers in every base, floats in every form.

Owns digits, signs, prefixes and exponents. Other kinds of values are `formatting`'s business.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Final

from ollama_nb_server.gotemplate.quoting import REPLACEMENT, quote
from ollama_nb_server.gotemplate.verbs import Spec, pad

INT_VERBS: Final = "vdboOxXcqU"
FLOAT_VERBS: Final = "vgGeEfFxXb"
_INT_PREFIXES: Final = {"b": "0b", "x": "0x", "X": "0X"}
_FIRST_EXPONENT: Final = 6  # from 1e+06 on, floats show an exponent
_MOST_ZEROS: Final = -4  # below 0.0001 as well


def format_int(value: int, spec: Spec) -> str:
    """An integer by one of `INT_VERBS`."""
    if spec.verb in "cqU":
        return pad(_rune(value, spec), spec)
    if spec.precision == 0 and value == 0:
        return " " * (spec.width or 0)
    sign = "-" if value < 0 else "+" if spec.signed else " " if spec.space else ""
    num_digits = spec.precision or 0
    if spec.precision is None and spec.zero and not spec.minus:
        num_digits = (spec.width or 0) - len(sign)
    base = "d" if spec.verb == "v" else spec.verb.replace("O", "o")
    digits = format(abs(value), base).zfill(num_digits)
    return pad(sign + _with_prefix(digits, spec), spec, zero=False)


def _with_prefix(digits: str, spec: Spec) -> str:
    if spec.alternate and spec.verb in "oO" and not digits.startswith("0"):
        digits = f"0{digits}"
    if spec.verb == "O":
        return f"0o{digits}"
    return _INT_PREFIXES.get(spec.verb, "") + digits if spec.alternate else digits


def _rune(value: int, spec: Spec) -> str:
    """A number as a character: `%c`, `%q`, `%U`."""
    is_rune = 0 <= value <= 0x10FFFF and not 0xD800 <= value <= 0xDFFF
    char = chr(value) if is_rune else REPLACEMENT
    if spec.verb == "c":
        return char
    if spec.verb == "q":
        return quote(char, "'", ascii_only=spec.plus)
    code = f"U+{format(value % 2**64, 'X').zfill(max(spec.precision or 0, 4))}"
    return f"{code} '{char}'" if spec.sharp and is_rune and char.isprintable() else code


def format_float(value: float, spec: Spec) -> str:
    """A float by one of `FLOAT_VERBS`."""
    negative = math.copysign(1, value) < 0 and not math.isnan(value)
    if not math.isfinite(value):
        return pad(_infinite(value, negative, spec), spec, zero=False)
    sign = "-" if negative else "+" if spec.signed else " " if spec.space else ""
    digits = _digits(abs(value), spec)
    if spec.zero and not spec.minus and spec.width is not None:
        return sign + digits.rjust(spec.width - len(sign), "0")
    return pad(sign + digits, spec, zero=False)


def _infinite(value: float, negative: bool, spec: Spec) -> str:
    """Infinities always have a sign."""
    sign = " " if spec.space and not spec.signed else "+"
    if math.isnan(value):
        return f"{sign}NaN" if spec.signed or spec.space else "NaN"
    return "-Inf" if negative else f"{sign}Inf"


def _digits(value: float, spec: Spec) -> str:
    """A float that is finite and not negative."""
    verb = {"v": "g", "F": "f"}.get(spec.verb, spec.verb)
    precision = spec.precision
    if verb in "xX":
        return _hex(value, precision, spec)
    if verb == "b":
        return _binary(value)
    if precision is None and verb in "eEf":
        precision = 6
    if precision is not None:
        sharp = "#" if spec.alternate else ""
        return format(value, f"{sharp}.{precision}{verb}")
    if spec.alternate:
        return _sharp(value, verb)
    return shortest(value).upper() if verb == "G" else shortest(value)


def shortest(value: float) -> str:
    """As few digits as tell the number from its neighbours."""
    _, digits, last = Decimal(repr(value)).as_tuple()
    exponent = len(digits) + int(last) - 1
    if value and not _MOST_ZEROS <= exponent < _FIRST_EXPONENT:
        text = "".join(map(str, digits)).rstrip("0")
        mantissa = f"{text[0]}.{text[1:]}" if len(text) > 1 else text
        return f"{mantissa}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
    return format(Decimal(repr(value)), "f").removesuffix(".0")


def _sharp(value: float, verb: str) -> str:
    """`%#g`: the shortest digits, but six of them at least."""
    num_digits = len(Decimal(repr(value)).normalize().as_tuple().digits)
    return format(value, f"#.{max(num_digits, 6)}{verb}")


def _hex(value: float, precision: int | None, spec: Spec) -> str:
    """`%x`: a mantissa in base 16 that begins with 1, an exponent of 2."""
    mantissa, exponent = math.frexp(value)
    fraction = int(mantissa * 2**53) - 2**52  # what follows the leading 1, in 52 bits
    exponent -= 1
    if value == 0:
        fraction, exponent = 0, 0
    lead = 0 if value == 0 else 1
    if precision is not None and precision < 13:
        unit = 1 << (52 - 4 * precision)
        whole = (lead << 52) + fraction
        whole = _round_half_even(whole, unit)
        if whole >> 52 > 1:
            whole, exponent = whole >> 1, exponent + 1
        fraction = whole & ((1 << 52) - 1)
    hexes = f"{fraction:013x}"
    hexes = hexes.rstrip("0") if precision is None else hexes[:precision].ljust(precision, "0")
    point = f".{hexes}" if hexes or spec.alternate else ""
    text = f"0x{lead}{point}p{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
    return text.upper() if spec.verb == "X" else text


def _round_half_even(whole: int, unit: int) -> int:
    quotient, rest = divmod(whole, unit)
    if rest * 2 > unit or (rest * 2 == unit and quotient & 1):
        quotient += 1
    return quotient * unit


def _binary(value: float) -> str:
    """`%b`: an integer times a power of two."""
    mantissa, exponent = math.frexp(value)
    whole = int(mantissa * 2**53)
    exponent = exponent - 53 if whole else -1074
    return f"{whole}p{'-' if exponent < 0 else '+'}{abs(exponent)}"
