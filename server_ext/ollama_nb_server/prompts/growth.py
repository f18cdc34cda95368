"""How large a value a filter, a method or an operator would make: asked before it is made.

Each function counts on the running budget and refuses what is too large; those that are not in the
tables cannot make much more than they are given.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable
from typing import Any

from ollama_nb_server.prompts.budget import (
    MAX_INT,
    MAX_INT_BITS,
    PART_CHARS,
    ROWS,
    SIZED,
    TEXTS,
    Budget,
    size,
)
from ollama_nb_server.prompts.errors import TemplateFailed
from ollama_nb_server.prompts.formats import as_text, narrow, percent_formatted

MAX_SLOW_CHARS = 1 << 16  # what filters may be given whose time grows with the square of it
MAX_WORDS = 1_000
MAX_COMPARED = 1 << 28  # letters
MAX_NAME_CHARS = 1_000
MAX_PARTS = 100_000  # of a generator whose end is not known: as many as jinja2's `range` may give
USUAL_INDENT = 16

Check = Callable[..., None]


def _length(budget: Budget, value: Any) -> int:
    return size(value) if isinstance(value, TEXTS) else budget.weigh(value)


def padded(budget: Budget, value: Any, width: Any = 80, *_: Any) -> None:
    """`center`, `ljust`, `rjust`, `zfill`: as wide as they are told."""
    budget.expect(_length(budget, value) + (4 * abs(width) if isinstance(width, int) else 0))


def replaced(budget: Budget, value: Any, old: Any = "", new: Any = "", *_: Any, **__: Any) -> None:
    """Each place where `old` stands grows by `new`."""
    text, part = as_text(budget, value), as_text(budget, old)
    places = text.count(part) if part else len(text) + 1
    budget.expect(size(text) + places * _length(budget, new))


def joined(budget: Budget, separator: Any, parts: Any) -> None:
    """`join` as a method: of texts only."""
    num_parts = len(parts) if isinstance(parts, SIZED) else MAX_PARTS
    budget.expect(budget.weigh(parts) + num_parts * size(separator))


def joined_by_filter(budget: Budget, parts: Any, d: Any = "", *_: Any, **__: Any) -> None:
    """`join` as a filter turns what is no text into text."""
    num_parts = len(parts) if isinstance(parts, SIZED) else MAX_PARTS
    budget.expect(budget.weigh(parts) + num_parts * _length(budget, d))


def indented(budget: Budget, value: Any, width: Any = 4, *_: Any, **__: Any) -> None:
    """Each line grows by `width`."""
    by = width if isinstance(width, int) else _length(budget, width)
    text = as_text(budget, value)
    budget.expect(size(text) + (text.count("\n") + 1) * max(by, 0))


def slow(budget: Budget, value: Any, *args: Any, **kwargs: Any) -> None:
    """Filters whose time grows with the square of the text."""
    length = _length(budget, value)
    if length > MAX_SLOW_CHARS:
        raise TemplateFailed(f"it gives a slow filter more than {MAX_SLOW_CHARS} characters")
    wrap = kwargs.get("wrapstring") or (args[2] if len(args) > 2 else None)
    budget.expect(length * (1 + (_length(budget, wrap) if wrap is not None else 0)))


def rows(budget: Budget, value: Any, count: Any = 0, fill_with: Any = None, **_: Any) -> None:
    """`batch` and `slice` fill up to a number they are told."""
    del value, fill_with
    budget.expect(PART_CHARS * count if isinstance(count, int) else 0)


def written_as_json(
    budget: Budget,
    value: Any,
    ensure_ascii: Any = False,
    indent: Any = None,
    separators: Any = None,
    sort_keys: Any = False,
) -> None:
    """Indents and separators are written once for each part."""
    del sort_keys
    by = indent if isinstance(indent, int) else _length(budget, indent or "")
    between = _length(budget, separators)
    weight = budget.weigh(value)
    budget.expect(weight)
    if by > USUAL_INDENT or between > USUAL_INDENT:
        budget.expect(weight * (by + between))


def rounded(budget: Budget, value: Any, precision: Any = 0, *_: Any, **__: Any) -> None:
    """Ten to the power of `precision` is computed."""
    del budget, value
    narrow(precision)


def summed(budget: Budget, value: Any, attribute: Any = None, start: Any = 0, **_: Any) -> None:
    """Lists are added by copying the sum again and again."""
    del attribute
    if not isinstance(start, int | float):
        weight = budget.weigh(value)
        budget.expect(weight * (len(value) if isinstance(value, ROWS) else 1))


def translated(budget: Budget, text: str, table: Any = None, *_: Any) -> None:
    """A letter may become a text."""
    texts = table.values() if isinstance(table, dict) else ()
    budget.expect(size(text) * max([1, *(_length(budget, value) for value in texts)]))


def expanded(budget: Budget, text: str, tabsize: Any = 8) -> None:
    """A tab becomes up to `tabsize` blanks."""
    budget.expect(size(text) + text.count("\t") * (tabsize if isinstance(tabsize, int) else 0))


def in_bytes(budget: Budget, number: int, length: Any = 1, *_: Any, **__: Any) -> None:
    """`to_bytes` makes as many as it is told."""
    del number
    budget.expect(length if isinstance(length, int) else 0)


def found(budget: Budget, needle: Any, haystack: Any = (), *_: Any) -> None:
    """Each item of a list is compared with what is sought, to its last letter if they are alike."""
    if isinstance(haystack, (str, bytes, dict)):
        budget.spend()
        return
    num_items = len(haystack) if isinstance(haystack, ROWS) else MAX_PARTS
    if num_items * budget.weigh(needle) > MAX_COMPARED:
        raise TemplateFailed("it searches for too long a value")


def found_by_method(budget: Budget, haystack: Any, needle: Any = None, *_: Any) -> None:
    """`index` and `count`."""
    found(budget, needle, haystack)


def encoded(budget: Budget, text: Any, encoding: Any = "utf-8", *_: Any, **__: Any) -> None:
    """Two encodings, of domain names, take a time that grows with the square of the text."""
    try:
        name = codecs.lookup(encoding).name if isinstance(encoding, str) else ""
    except LookupError:
        name = ""
    if name in ("punycode", "idna") and len(text) > MAX_NAME_CHARS:
        raise TemplateFailed(f"it encodes more than {MAX_NAME_CHARS} characters as a domain name")
    budget.expect(4 * size(text))


def invented(budget: Budget, *counts: Any, **named: Any) -> None:
    """`lipsum` writes as much as it is told."""
    numbers = [n for n in [*counts, *named.values()] if isinstance(n, int)]
    if any(abs(n) > MAX_WORDS for n in numbers):
        raise TemplateFailed(f"it asks for more than {MAX_WORDS} invented words")
    budget.expect(64 * max(numbers[:1] or [5]) * 100)


def multiplied(budget: Budget, left: Any, right: Any) -> None:
    """A text or list so many times."""
    for value, count in ((left, right), (right, left)):
        if isinstance(value, TEXTS) and isinstance(count, int):
            budget.expect(size(value) * max(count, 0))
        elif isinstance(value, ROWS) and isinstance(count, int):
            budget.expect(PART_CHARS * len(value) * max(count, 0))


def added(budget: Budget, left: Any, right: Any) -> None:
    """Two texts, or two lists."""
    if isinstance(left, TEXTS) and isinstance(right, TEXTS):
        budget.expect(size(left) + size(right))
    elif isinstance(left, ROWS) and isinstance(right, ROWS):
        budget.expect(PART_CHARS * (len(left) + len(right)))


def raised(budget: Budget, left: Any, right: Any) -> None:
    """A number to a power."""
    whole = isinstance(left, int) and isinstance(right, int)
    if whole and left.bit_length() * max(right, 1) > MAX_INT_BITS:
        raise TemplateFailed("it computes with too long a number")
    budget.spend()


def remainder(budget: Budget, left: Any, right: Any) -> None:
    """Of numbers; of a text, the formatting of old."""
    if isinstance(left, TEXTS):
        text = left if isinstance(left, str) else left.decode("latin-1")
        percent_formatted(budget, text, *(right if isinstance(right, tuple) else (right,)))


OPERATORS: dict[str, Check] = {"*": multiplied, "+": added, "**": raised, "%": remainder}

FILTERS: dict[str, Check] = {
    "center": padded,
    "replace": replaced,
    "join": joined_by_filter,
    "indent": indented,
    "wordwrap": slow,
    "urlize": slow,
    "striptags": slow,
    "pprint": slow,
    "xmlattr": slow,
    "batch": rows,
    "slice": rows,
    "tojson": written_as_json,
    "round": rounded,
    "sum": summed,
    "format": percent_formatted,
}

METHODS: dict[str, Check] = {
    "center": padded,
    "ljust": padded,
    "rjust": padded,
    "zfill": padded,
    "replace": replaced,
    "join": joined,
    "translate": translated,
    "expandtabs": expanded,
    "to_bytes": in_bytes,
    "striptags": slow,
    "encode": encoded,
    "decode": encoded,
}
ROW_METHODS: dict[str, Check] = {"index": found_by_method, "count": found_by_method}

TESTS: dict[str, Check] = {"in": found}


def small(*numbers: Any) -> None:
    """Refuse numbers that take long to compute with."""
    for number in numbers:
        if type(number) is int and not -MAX_INT < number < MAX_INT:
            raise TemplateFailed("it computes with too long a number")
