"""What a caller gives as what can be sent: numbers of NumPy are numbers, nan is refused by name."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from ollama_nb.errors import BadValue


def as_json(body: Any) -> str:
    """Write a body in ASCII, so that lone surrogates can be sent too.

    Raises
    ------
    BadValue
        For a value that JSON has no word for, with its place.

    Examples
    --------
    >>> as_json({"model": "demo", "stream": False})
    '{"model": "demo", "stream": false}'
    """
    return json.dumps(plain(body, "the request"))


def plain(value: Any, where: str) -> Any:
    """Return a value of JSON's types; `where` is what it is called in an error.

    Raises
    ------
    BadValue
    """
    if isinstance(value, Mapping):
        return {str(key): plain(one, str(key)) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one, where) for one in value]
    if type(value).__module__ == "numpy" and getattr(value, "ndim", None) == 0:
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        raise BadValue(where, value)
    if value is None or isinstance(value, (str, int, float)):
        return value
    raise BadValue(where, value)
