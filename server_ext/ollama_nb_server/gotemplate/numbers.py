"""Numbers and characters as Go's constants spell them.

Owns their syntax. Complex numbers are refused: nothing in a chat template could use one.
"""

from __future__ import annotations

import re
from typing import Final

from ollama_nb_server.gotemplate.quoting import quote, unquote_char

_INTEGER: Final = re.compile(
    r"(?P<sign>[+-]?)(?:0[xX](?P<hex>_?[0-9a-fA-F]+(?:_[0-9a-fA-F]+)*)"
    r"|0[bB](?P<binary>_?[01]+(?:_[01]+)*)"
    r"|0[oO]?(?P<octal>_?[0-7]+(?:_[0-7]+)*)"
    r"|(?P<decimal>0|[1-9][0-9]*(?:_[0-9]+)*))"
)
_BASES: Final = {"hex": 16, "binary": 2, "octal": 8, "decimal": 10}
_DIGITS: Final = r"[0-9]+(?:_[0-9]+)*"
_FLOAT: Final = re.compile(
    rf"[+-]?(?:{_DIGITS}\.?(?:{_DIGITS})?|\.{_DIGITS})(?:[eE][+-]?{_DIGITS})?"
)
_HEX_DIGITS: Final = r"[0-9a-fA-F]+(?:_[0-9a-fA-F]+)*"
_HEX_FLOAT: Final = re.compile(
    rf"[+-]?0[xX]_?(?:{_HEX_DIGITS}\.?(?:{_HEX_DIGITS})?|\.{_HEX_DIGITS})[pP][+-]?{_DIGITS}"
)
MAX_INT: Final = 2**63 - 1
_MAX_UINT: Final = 2**64 - 1
_MAX_DIGITS: Final = 400  # no longer one is an int or a float that is not spelled oddly


class NoNumber(ValueError):
    """The text is no number that we know; the argument is Go's sentence."""


def read_char(literal: str) -> int:
    """The value of a character constant, quotes and all."""
    code, rest = unquote_char(literal[1:-1])
    if code is None:
        raise NoNumber("invalid syntax")
    if rest:
        raise NoNumber(f"malformed character constant: {literal}")
    return code


def read_number(text: str) -> int | float:
    """The value of a number where nobody asks for another type.

    As in Go an int may be twice too large (an unsigned one) until somebody wants its value.

    Raises
    ------
    NoNumber
        If it is none, or does not fit.
    """
    if text.endswith("i"):
        raise NoNumber(f"complex numbers are not supported: {quote(text)}")
    whole = _read_int(text)
    if whole is None or not -MAX_INT - 1 <= whole <= _MAX_UINT:
        return _read_float(text)
    if whole > MAX_INT and text.startswith("+"):
        return _read_float(text)
    return whole


def _read_int(text: str) -> int | None:
    match = _INTEGER.fullmatch(text)
    if match is None or len(text) > _MAX_DIGITS:
        return None
    base = next(name for name in _BASES if match[name] is not None)
    value = int(match[base].replace("_", ""), _BASES[base])
    return -value if match["sign"] == "-" else value


def _read_float(text: str) -> float:
    plain = text.replace("_", "")
    try:
        if _HEX_FLOAT.fullmatch(text):
            value = float.fromhex(plain)
        elif _FLOAT.fullmatch(text):
            value = float(plain)
        else:
            raise NoNumber(f"illegal number syntax: {quote(text)}")
    except OverflowError:
        value = float("inf")
    if value in (float("inf"), float("-inf")):
        raise NoNumber(f"illegal number syntax: {quote(text)}")
    if not any(sign in text for sign in ".eEpP"):
        raise NoNumber(f"integer overflow: {quote(text)}")
    return value
