"""How long a formatted text would be: `%`, `str.format` and dates.

Widths stand in the format or come as values; either way they are looked at before anything is made.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from ollama_nb_server.prompts.budget import CONTAINERS, Budget, size
from ollama_nb_server.prompts.errors import TemplateFailed

MAX_WIDTH = 9_999  # of a padded number or text, where the format string says it

PERCENT = re.compile(r"%(?:\([^)]*\))?[#0\- +]*(\*|\d+)?(?:\.(\*|\d+))?")
FIELD_WIDTH = re.compile(r"\{[^{}]*:[^{}]*?\d{5}")
NESTED_WIDTH = re.compile(r"\{[^{}]*:[^{}]*\{")
LONG_NUMBER = re.compile(r"\d{5}")


def as_text(budget: Budget, value: Any) -> str:
    """A value as text, weighed before it is made one."""
    if not isinstance(value, str):
        budget.weigh(value)
    return str(value)


def narrow(*widths: Any) -> None:
    """Refuse a width beyond all use."""
    if any(isinstance(width, int) and abs(width) > MAX_WIDTH for width in widths):
        raise TemplateFailed(f"it pads to more than {MAX_WIDTH} characters")


def dated(budget: Budget, form: Any, *_: Any) -> None:
    """A field of `strftime` is longer than its two letters."""
    if isinstance(form, str) and (len(form) > MAX_WIDTH or LONG_NUMBER.search(form)):
        raise TemplateFailed("it formats a date into too long a text")
    budget.spend(MAX_WIDTH)


def percent_formatted(budget: Budget, text: Any, *args: Any, **kwargs: Any) -> None:
    """`text % values` and the filter `format`."""
    text, fields = as_text(budget, text), 0
    for found in PERCENT.finditer(text):
        fields += 1
        narrow(*(int(part[:6]) for part in found.groups() if part and part != "*"))
    if "*" in text:
        narrow(*_numbers(args), *_numbers(kwargs.values()))
    budget.expect(size(text) + fields * (budget.weigh([args, kwargs]) + MAX_WIDTH * ("*" in text)))


def brace_formatted(budget: Budget, text: str, args: Any, kwargs: Mapping[str, Any]) -> None:
    """`str.format`: widths stand in the text, or in a value that it names as a width."""
    values = [*args, *kwargs.values()]
    if FIELD_WIDTH.search(text):
        narrow(MAX_WIDTH + 1)
    nested = NESTED_WIDTH.search(text) is not None
    if nested and any(
        isinstance(v, CONTAINERS) or (isinstance(v, str) and LONG_NUMBER.search(v)) for v in values
    ):
        narrow(MAX_WIDTH + 1)
    if nested:
        narrow(*_numbers(values))
    each = budget.weigh(values) + (MAX_WIDTH if nested else 0)
    budget.expect(size(text) + text.count("{") * each)


def _numbers(values: Iterable[Any]) -> Iterable[Any]:
    for value in values:
        yield from value if isinstance(value, tuple) else (value,)
