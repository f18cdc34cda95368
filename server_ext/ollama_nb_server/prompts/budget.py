"""What one run of a chat template may cost: steps, characters, nesting and time.

Templates come with models from anywhere. Where costs arise is known in `bounded`; what each
operation would make of its values, in `growth`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from jinja2.utils import Namespace

from ollama_nb_server.prompts.errors import TemplateFailed

# Without any input. Llama 3.1's template on 100 messages takes about 3000 steps.
BASE_STEPS, BASE_CHARS, BASE_VALUE_CHARS, BASE_SECONDS = 1_000_000, 128 << 20, 4 << 20, 5.0
# For each character of input. Some templates go through texts letter by letter; others put the
# prompt together by adding to it, which copies it once for each message.
STEPS_PER_CHAR, CHARS_PER_CHAR, VALUE_PER_CHAR, SECONDS_PER_CHAR = 20, 512, 16, 1e-6
MAX_CALL_DEPTH = 200
MAX_VALUE_DEPTH = 200
MAX_INT = 1 << 65_536  # anything beyond has no use in a prompt, and computing gets slow
MAX_INT_BITS = 65_536
MAX_DIGITS = 1 << 64  # up to here a number is no longer than any other value
STEPS_A_LOOK = 16  # at the clock: no step takes more than some ten milliseconds
PART_CHARS = 8  # what an item of a list counts, the item itself apart
ITEM_CHARS, ENTRY_CHARS = 32, 100  # with a small number or text of its own

# Built once: `str | bytes` in a call of isinstance would be built anew each time.
TEXTS, ROWS, CONTAINERS = (str, bytes), (list, tuple), (list, tuple, dict)
SEQUENCES, SIZED = (str, list, tuple), (str, list, tuple, dict)
SCALARS = frozenset({str, int, float, bool, type(None)})
_EMPTY: dict[str, str] = {}
_VIEWS = (type(_EMPTY.keys()), type(_EMPTY.values()), type(_EMPTY.items()), set, frozenset)


class Budget:
    """The account of one run; `num_chars` is the size of what the template is given."""

    __slots__ = ("_deadline", "_depth", "_num_chars", "_num_steps", "max_value_chars")

    def __init__(self, num_chars: int = 0, base_seconds: float = BASE_SECONDS) -> None:
        self.max_value_chars = BASE_VALUE_CHARS + VALUE_PER_CHAR * num_chars
        self._num_steps = BASE_STEPS + STEPS_PER_CHAR * num_chars
        self._num_chars = BASE_CHARS + CHARS_PER_CHAR * num_chars
        self._deadline = time.monotonic() + base_seconds + SECONDS_PER_CHAR * num_chars
        self._depth = 0

    def spend(self, num_chars: int = 0) -> None:
        """Count a step, and characters that it makes.

        Raises
        ------
        TemplateFailed
            If steps, characters or time have run out.
        """
        self._num_steps -= 1
        self._num_chars -= num_chars
        if self._num_steps < 0:
            raise TemplateFailed("it takes too many steps")
        if self._num_chars < 0:
            raise TemplateFailed("it makes too much text")
        if not self._num_steps % STEPS_A_LOOK and time.monotonic() > self._deadline:
            raise TemplateFailed("it takes too long")

    def expect(self, num_chars: float) -> None:
        """Count a step that will make one value of about this size, before it is made."""
        if num_chars > self.max_value_chars:
            raise TemplateFailed("it makes too long a value")
        self.spend(int(num_chars))

    def made(self, value: Any) -> None:
        """Count a value that a call or a filter has made."""
        if isinstance(value, TEXTS):
            self.expect(size(value))
        elif isinstance(value, ROWS):
            self.expect(ITEM_CHARS * len(value))
        elif isinstance(value, dict):
            self.expect(ENTRY_CHARS * len(value))
        else:
            self.spend(PART_CHARS)

    def weigh(self, value: Any) -> int:
        """About how many characters a value has as text, itself and all in it.

        Raises
        ------
        TemplateFailed
            If that is too many, or one is nested in the other too deeply. A list of a list twice,
            thirty times over, is small in memory and endless to print or to compare.
        """
        weight = weigh(value, self.max_value_chars)
        self.spend(weight // PART_CHARS)
        return weight

    @contextmanager
    def call(self) -> Iterator[None]:
        """A call of a macro or of a recursive loop."""
        self._depth += 1
        if self._depth > MAX_CALL_DEPTH:
            raise TemplateFailed("it calls itself too deeply")
        try:
            yield
        finally:
            self._depth -= 1


def size(text: str | bytes) -> int:
    """Bytes in memory, about: letters outside of ASCII may take four."""
    return len(text) if text.isascii() else 4 * len(text)


def weigh(value: Any, limit: float) -> int:
    """The weight of a value, level by level; stops at the limit."""
    weight, level, depth = 0, [value], 0
    while level:
        deeper: list[Any] = []
        for item in level:
            kind = type(item)
            if kind is str:
                weight += PART_CHARS + len(item)
            elif kind in SCALARS:
                weight += PART_CHARS if kind is not int else _int_weight(item)
            else:
                parts = _parts(item)
                weight += PART_CHARS * (len(parts) + 1)
                deeper.extend(parts if weight <= limit else ())
            if weight > limit:
                raise TemplateFailed("it makes too long a value")
        level, depth = deeper, depth + 1
        if depth > MAX_VALUE_DEPTH:
            raise TemplateFailed("it nests values too deeply")
    return weight


def _int_weight(number: int) -> int:
    if not -MAX_INT < number < MAX_INT:
        raise TemplateFailed("it computes with too long a number")
    return PART_CHARS if -MAX_DIGITS < number < MAX_DIGITS else number.bit_length()


def _parts(item: Any) -> Any:
    if isinstance(item, dict):
        return [*item.keys(), *item.values()]
    if isinstance(item, ROWS):
        return item
    if isinstance(item, TEXTS):
        return [str(item)] if isinstance(item, str) else range(len(item))
    if isinstance(item, Namespace):
        return list(item._Namespace__attrs.values())  # it hides its own __dict__
    return list(item) if isinstance(item, _VIEWS) else ()


_running: ContextVar[Budget] = ContextVar("budget of the running template")


def running() -> Budget:
    """The budget of the template that runs in this thread."""
    return _running.get()


@contextmanager
def spending(budget: Budget) -> Iterator[Budget]:
    """Run a template, or compile it, on this budget."""
    token = _running.set(budget)
    try:
        yield budget
    finally:
        _running.reset(token)
