"""Which properties an object can have that several schemas describe together, to close it by.

Closing only adds to what must hold, so an answer still fits the schema as it was sent.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ollama_nb_server.engine.errors import GrammarRefused
from ollama_nb_server.engine.grammars.schemas.keywords import (
    CHOICES,
    MAPS,
    NUMBERS,
    STRINGS,
    VALUES,
)
from ollama_nb_server.engine.grammars.schemas.references import References

OPENING = frozenset(("additionalProperties", "patternProperties", "propertyNames"))
UNEVALUATED = (
    "'unevaluatedProperties' is supported only where each alternative lists its properties; "
    "write additionalProperties"
)

MOST_NAMES = 200_000  # that are looked at: they are said again for each alternative

Closing = dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Surface:
    """What schemas that must hold together say of one object."""

    listed: dict[str, None]  # in order
    required: dict[str, None]
    kinds: frozenset[str]  # types that they say
    settled: bool  # they say themselves which others there may be
    evaluated: bool  # by naming a schema for all others
    choices: bool  # some of them hold only if others do not

    def closing(self, *, asked: bool, narrow: bool) -> Closing:
        """The schema that closes the object; None if there is nothing to close.

        `narrow`: where nothing says of what type it is, it is an object.
        """
        names = self.listed if asked else self.listed | self.required
        if self.settled or not (names or asked):
            return None
        made: dict[str, Any] = {
            "properties": dict.fromkeys(names, True),
            "additionalProperties": False,
        }
        return {"type": "object", **made} if narrow and self.kinds <= {"object"} else made


UNKNOWN = Surface({}, {}, frozenset(), settled=True, evaluated=False, choices=True)


class Objects:
    """Finds what closes the objects of one schema, as long as that is not too much."""

    def __init__(self, references: References, *, narrow: bool) -> None:
        self._references, self._narrow = references, narrow
        self._left = MOST_NAMES

    def closing(self, node: dict[str, Any]) -> Closing:
        """For a schema with all its alternatives."""
        return self._surface([node]).closing(asked=asks(node), narrow=self._narrow)

    def one_by_one(self, node: dict[str, Any]) -> bool:
        """Whether the alternatives of a schema are closed one by one, each by what it lists."""
        chosen = [keyword for keyword in CHOICES if isinstance(node.get(keyword), list)]
        common = self._surface([_common(node)])
        names = len(common.listed) + len(common.required)
        return len(chosen) == 1 and len(node[chosen[0]]) * names <= MOST_NAMES // 4

    def closings(self, node: dict[str, Any], keyword: str) -> list[Closing]:
        """For each alternative of a schema, with what holds beside it."""
        surfaces = self._each(node, keyword)
        return [surface.closing(asked=asks(node), narrow=self._narrow) for surface in surfaces]

    def check(self, node: dict[str, Any], place: str) -> None:
        """`unevaluatedProperties: false` knows only what is listed in alternatives that fit.

        Raises
        ------
        GrammarRefused
            If it is there, and it cannot be told which these are.
        """
        if not asks(node):
            return
        surfaces = [self._surface([_common(node)])]
        chosen = [keyword for keyword in CHOICES if isinstance(node.get(keyword), list)]
        surfaces += self._each(node, chosen[0]) if chosen else []
        unsure = any(s.choices or (s.settled and not s.evaluated) for s in surfaces)
        if unsure or (chosen and not self.one_by_one(node)):
            raise GrammarRefused(UNEVALUATED, f"{place}/unevaluatedProperties")

    def listing(self, node: dict[str, Any], keyword: str) -> list[Any]:
        """Alternatives that name each property they can have once they are closed.

        If all answers are objects then, each says so: none is compared as something else.
        """
        branches = [self._references.resolved(branch) for branch in node[keyword]]
        surfaces = self._each(node, keyword)
        objects = all(self._of_objects(surface) for surface in surfaces)
        kind = {"type": "object"} if objects else {}
        return [
            {**kind, **_listing(branch, surface)} if isinstance(branch, dict) else branch
            for branch, surface in zip(branches, surfaces, strict=True)
        ]

    def _of_objects(self, surface: Surface) -> bool:
        """Whether all answers are objects, once they are closed."""
        closes = self._narrow and surface.closing(asked=False, narrow=True) is not None
        said = surface.kinds == {"object"} or (not surface.kinds and closes)
        return said and not surface.choices

    def _each(self, node: dict[str, Any], keyword: str) -> list[Surface]:
        """What holds if one of the alternatives does."""
        return [self._surface([_common(node), branch]) for branch in node[keyword]]

    def _surface(self, nodes: Iterable[Any]) -> Surface:
        """What schemas say together, with all that they refer to and all their alternatives."""
        found = list(self._together(nodes))
        self._left -= sum(1 + len(_strings(node.get("properties"))) for node in found)
        if self._left < 0:
            return UNKNOWN
        kinds = [kind for node in found for kind in _kinds(node)]
        said = {keyword for node in found for keyword in node}
        return Surface(
            {name: None for node in found for name in _strings(node.get("properties"))},
            {name: None for node in found for name in _strings(node.get("required"))},
            frozenset(kinds),
            settled=bool(said & OPENING),
            evaluated="additionalProperties" in said,
            choices=bool(said & set(CHOICES)),
        )

    def _together(self, nodes: Iterable[Any]) -> Iterator[dict[str, Any]]:
        waiting, seen = deque(nodes), set[int]()
        while waiting and len(seen) <= self._left:
            node = waiting.popleft()
            if not isinstance(node, dict) or id(node) in seen:
                continue
            seen.add(id(node))
            yield node
            inner = [self._references.follow(node)] if "$ref" in node else []
            for keyword in ("allOf", *CHOICES):
                inner += _list(node.get(keyword))
            waiting.extendleft(reversed(inner))


def asks(node: dict[str, Any]) -> bool:
    """Whether a schema asks itself to be closed, all that it is combined of taken together."""
    return node.get("unevaluatedProperties") is False and "additionalProperties" not in node


def _common(node: dict[str, Any]) -> dict[str, Any]:
    return {keyword: value for keyword, value in node.items() if keyword not in CHOICES}


def _listing(branch: dict[str, Any], surface: Surface) -> dict[str, Any]:
    """An alternative that says itself what its answers are, once it is closed by its surface."""
    names, own = surface.listed | surface.required, branch.get("properties", {})
    if surface.settled and not branch.keys() & OPENING:
        return {**branch, "additionalProperties": True}
    if not surface.settled and names and isinstance(own, dict):
        return {**branch, "properties": dict.fromkeys(names, True) | own}
    return branch


def _kinds(node: dict[str, Any]) -> list[str]:
    """Types that a schema says; "" stands for those of the values that it lists."""
    kinds = node.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else _strings(kinds)
    return [*kinds, *("" for keyword in VALUES if keyword in node)]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _strings(value: Any) -> list[str]:
    return [s for s in value if isinstance(s, str)] if isinstance(value, list | dict) else []


def close(made: dict[str, Any]) -> None:
    """Say of what kind a schema is by what it says, and that there are no other properties."""
    required = _strings(made.get("required"))
    if made.keys() & set(MAPS) or required:
        made.setdefault("type", "object")
        if "additionalProperties" not in made:
            made["properties"] = dict(made.get("properties", {}))
            for name in required:
                made["properties"].setdefault(name, True)
            made["additionalProperties"] = False
        _drop_idle_count(made)
    kinds = {"array": {"items", "prefixItems"}, "string": set(STRINGS), "number": set(NUMBERS)}
    for kind in (kind for kind, keywords in kinds.items() if made.keys() & keywords):
        made.setdefault("type", kind)


def _drop_idle_count(made: dict[str, Any]) -> None:
    """Leave out a `maxProperties` that says nothing; llguidance has it for few kinds of objects."""
    closed = made["additionalProperties"] is False and "patternProperties" not in made
    most = made.get("maxProperties")
    if closed and isinstance(most, int) and most >= len(made.get("properties", {})):
        del made["maxProperties"]


def check_counts(made: dict[str, Any], place: str) -> None:
    """A grammar counts a key as often as it is written, JSON once.

    Raises
    ------
    GrammarRefused
        If that makes a difference.
    """
    least, required = made.get("minProperties", 0), made.get("required", [])
    if isinstance(least, int) and isinstance(required, list) and max(len(required), 1) < least:
        raise GrammarRefused(
            "of minProperties only 1, or as many as are required, is supported",
            f"{place}/minProperties",
        )
