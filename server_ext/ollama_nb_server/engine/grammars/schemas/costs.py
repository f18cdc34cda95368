"""What of a schema would take llguidance too long, found before it begins: it cannot be stopped.

Most that is too large it refuses itself. What else a schema may say is decided in `rewriting`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from decimal import Decimal
from math import lcm
from typing import Any, Generic, TypeVar

from ollama_nb_server.engine.errors import GrammarRefused
from ollama_nb_server.engine.grammars.schemas.rewriting import Prepared

MAX_STATES = 60_000  # of remainders, all together: half a second
MAX_PATTERNS = 8  # for one text; twice as many take half a second, three times as many minutes
MAX_DEPTH = 100  # of what holds for the same part of an answer

Value = TypeVar("Value", bound=Hashable)


def check_costs(schema: Prepared) -> None:
    """Refuse what would take too long to compile.

    Raises
    ------
    GrammarRefused
        With the place where patterns or multiples are too many, or too large, together.
    """
    patterns = _Held(schema, lambda part: _text(part.get("pattern")), len)
    multiples = _Held(schema, lambda part: _number(part.get("multipleOf")), remainders)
    states = 0
    for place, part in schema.parts:
        if len(patterns.by(part)) > MAX_PATTERNS:
            reason = f"more than {MAX_PATTERNS} patterns hold for the same text"
            raise GrammarRefused(reason, _where(place, part, "pattern"))
        numbers = multiples.by(part)
        states += remainders(numbers)
        if states > MAX_STATES:
            told = ", ".join(map(str, sorted(numbers)))
            reason = f"to find multiples of {told} takes more than {MAX_STATES} states"
            raise GrammarRefused(reason, _where(place, part, "multipleOf"))


def _where(place: str, part: dict[str, Any], keyword: str) -> str:
    found = next((word for word in (keyword, "allOf", "$ref") if word in part), "")
    return f"{place}/{found}" if found else place


class _Held(Generic[Value]):
    """What holds together for the same part of an answer; of alternatives, the weightiest."""

    def __init__(
        self,
        schema: Prepared,
        read: Callable[[dict[str, Any]], Value | None],
        weight: Callable[[frozenset[Value]], int],
    ) -> None:
        self._definitions = schema.document.get("$defs", {})
        self._value, self._weight = read, weight
        self._known: dict[int, frozenset[Value]] = {}  # by the parts' ids

    def by(self, part: Any, depth: int = 0) -> frozenset[Value]:
        """The values that hold if this part does."""
        if not isinstance(part, dict) or depth > MAX_DEPTH:
            return frozenset()
        if id(part) not in self._known:
            self._known[id(part)] = frozenset()  # a circle adds nothing
            own = self._value(part)
            held = [frozenset(() if own is None else (own,))]
            beside = [*part.get("allOf", ()), self._definitions.get(_name(part))]
            held += [self.by(each, depth + 1) for each in beside]
            for choice in (part[word] for word in ("anyOf", "oneOf") if part.get(word)):
                alternatives = [self.by(each, depth + 1) for each in choice]
                held.append(max(alternatives, key=self._weight))
            self._known[id(part)] = frozenset[Value]().union(*held)
        return self._known[id(part)]


def _name(part: dict[str, Any]) -> str:
    return str(part.get("$ref", "")).removeprefix("#/$defs/")


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        return None
    return Decimal(str(value))


def remainders(numbers: Iterable[Decimal]) -> int:
    """Of their common multiple, with the point moved behind its last digit."""
    numbers = list(numbers)
    least = min((int(number.as_tuple().exponent) for number in numbers), default=0)
    multiple = lcm(*(int(number.scaleb(-least)) for number in numbers)) if numbers else 0
    while multiple and multiple % 10 == 0:
        multiple //= 10
    return multiple
