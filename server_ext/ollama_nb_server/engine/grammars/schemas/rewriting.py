"""JSON Schemas as users write them, made into what llguidance compiles; refusals name the place.

An answer that fits the result fits the schema, never more. Compiling is `grammar`'s affair; each
module beside this one knows one thing that schemas say.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from ollama_nb_server.engine.errors import GrammarRefused
from ollama_nb_server.engine.grammars.schemas import formats, numbers, objects, sets
from ollama_nb_server.engine.grammars.schemas.apart import exclusive
from ollama_nb_server.engine.grammars.schemas.finite import keep_finite
from ollama_nb_server.engine.grammars.schemas.keywords import (
    CHOICES,
    COMBINED,
    LISTS,
    MAPS,
    PARTS,
    PLAIN,
    REFUSED,
    SINGLES,
    UNEVALUATED,
    VALUES,
    Node,
    escaped,
)
from ollama_nb_server.engine.grammars.schemas.objects import Closing, Objects, asks
from ollama_nb_server.engine.grammars.schemas.parsing import checked, read
from ollama_nb_server.engine.grammars.schemas.references import References

__all__ = ["Prepared", "checked", "prepared", "read"]

MAX_DEFINITIONS = 2000  # a chain of so many fits the compiling thread's stack

OVERLAP = (
    "two of these could fit the same answer; give each a property with a constant of its own, "
    "or write anyOf (of very many alternatives not all are compared)"
)


@dataclass(slots=True)
class Prepared:
    """A schema for llguidance, and where each of its parts comes from (JSON pointers)."""

    document: dict[str, Any]
    parts: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def alone(self, part: dict[str, Any]) -> dict[str, Any]:
        """A document of one part only."""
        return {**part, "$defs": self.document.get("$defs", {})}


def prepared(root: dict[str, Any], *, close: bool) -> Prepared:
    """Rewrite a schema: resolve references within the document, drop annotations.

    With `close`, an object with listed properties takes no others unless the schema says so:
    what else is valid there makes answers endless.

    Raises
    ------
    GrammarRefused
        With a JSON pointer to what cannot be promised.
    """
    rewriting = _Rewriting(root, close=close)
    made = rewriting.prepared()
    # llguidance must see the alternatives of a `oneOf` as they are to tell if two can fit.
    return _Rewriting(root, close=close, exact=True).prepared() if rewriting.doubtful else made


@dataclass(slots=True)
class _Part:
    """A schema within the document, and what is made of it.

    A `shared` one describes an object together with others, an `alone` one says only one thing.
    """

    node: dict[str, Any]
    place: str
    shared: bool
    alone: bool = False
    made: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        together = self.node.get("allOf")
        several = isinstance(together, list) and len(together) > 1
        self.alone = not self.shared and not several and len(self.node.keys() & PARTS) == 1

    def add(self, keyword: str, value: list[Node]) -> None:
        """Add schemas that must hold as well."""
        if keyword == "allOf":
            self.made["allOf"] = [*self.made.get("allOf", ()), *value]
        elif keyword in self.made:
            self.add("allOf", [{keyword: value}])
        else:
            self.made[keyword] = value


class _Rewriting:
    """One schema on its way. `exact` leaves numbers and formats as wide as they are said."""

    def __init__(self, root: dict[str, Any], *, close: bool, exact: bool = False) -> None:
        self._root, self._close, self._exact = root, close, exact
        self._references = References(root)
        self._objects = Objects(self._references, narrow=close)
        self._names: dict[tuple[str, bool], str] = {}
        self._waiting: deque[tuple[str, bool]] = deque()
        self._parts: list[tuple[str, dict[str, Any]]] = []
        self.doubtful = False  # whether llguidance has to tell if alternatives can both fit

    def prepared(self) -> Prepared:
        """Rewrite the root, then what is referred to, then what that refers to."""
        root = self._root if self._root.keys() & PARTS else {**self._root, "type": "object"}
        document = self._object(root, "", shared=False)
        definitions: dict[str, Node] = {}
        while self._waiting:
            place, shared = self._waiting.popleft()
            name = self._names[place, shared]
            definitions[name] = self._schema(self._references.at(place), place, shared=shared)
        keep_finite(document, definitions, {id(part): place for place, part in self._parts})
        return Prepared({**document, "$defs": definitions}, self._parts)

    def _schema(self, node: Any, place: str, *, shared: bool) -> Node:
        if isinstance(node, bool):
            return node
        if not isinstance(node, dict):
            raise GrammarRefused("a schema is an object, true or false", place)
        return self._object(node, place, shared=shared)

    def _object(self, node: dict[str, Any], place: str, *, shared: bool) -> dict[str, Any]:
        for keyword in (k for k in node if k in REFUSED and node[k] != REFUSED[k]):
            raise GrammarRefused(_refusal(keyword), f"{place}/{keyword}")
        part = _Part(_modern(node), place, shared)
        self._parts.append((place, part.made))
        for keyword in part.node:
            self._say(part, keyword, f"{place}/{keyword}")
        objects.check_counts(part.made, place)
        self._spell(part)
        self._finish(part)
        return part.made

    def _say(self, part: _Part, keyword: str, place: str) -> None:
        """Make what one keyword says."""
        value, made = part.node[keyword], part.made
        if keyword == "$ref":
            made[keyword] = self._reference(value, place, shared=not part.alone)
        elif keyword in MAPS:
            made[keyword] = self._map(value, place)
        elif keyword in CHOICES:
            self._choose(part, keyword, place)
        elif keyword in LISTS:
            beside = keyword == "allOf" and not part.alone
            part.add(keyword, self._list(value, place, shared=beside))
        elif keyword in SINGLES:
            made[keyword] = self._schema(value, place, shared=False)
        elif keyword in UNEVALUATED:
            self._add_unevaluated(part, keyword, place)
        elif keyword in PLAIN or (keyword == "format" and value in formats.FORMATS):
            made[keyword] = value

    def _map(self, value: Any, place: str) -> dict[str, Node]:
        if not isinstance(value, dict):
            raise GrammarRefused("an object of schemas is wanted", place)
        return {
            name: self._schema(node, f"{place}/{escaped(name)}", shared=False)
            for name, node in value.items()
        }

    def _list(self, value: Any, place: str, *, shared: bool) -> list[Node]:
        if not isinstance(value, list):
            raise GrammarRefused("a list of schemas is wanted", place)
        return [
            self._schema(node, f"{place}/{index}", shared=shared)
            for index, node in enumerate(value)
        ]

    def _reference(self, value: Any, place: str, *, shared: bool) -> str:
        key = self._references.target(value, place), shared
        if key not in self._names:
            if len(self._names) >= MAX_DEFINITIONS:
                raise GrammarRefused(f"more than {MAX_DEFINITIONS} definitions", place)
            self._names[key] = str(len(self._names))
            self._waiting.append(key)
        return f"#/$defs/{self._names[key]}"

    # --- what needs more than a look at its own value ---------------------------------------------

    def _choose(self, part: _Part, keyword: str, place: str) -> None:
        """Alternatives, each closed by its own properties if they describe a whole object."""
        found = self._list(part.node[keyword], place, shared=not part.alone)
        closes = self._closes(part) and self._objects.one_by_one(part.node)
        if closes:
            closings = self._objects.closings(part.node, keyword)
            found = [_both(one, closing) for one, closing in zip(found, closings, strict=True)]
        if keyword == "oneOf":
            closed = closes or (self._close and part.alone)
            keyword = self._one_of(part.node, place, closed=closed)
        part.add(keyword, formats.without_looks(found) if keyword == "anyOf" else found)

    def _one_of(self, node: dict[str, Any], place: str, *, closed: bool) -> str:
        """As alternatives of which no two can fit one answer, or else not at all.

        What llguidance would find of them here holds for closed objects, not for those sent.
        """
        parts = self._objects.listing(node, "oneOf") if closed else node["oneOf"]
        if exclusive(parts, self._references.resolved, closed=closed):
            return "anyOf"
        if self._close or closed:
            raise GrammarRefused(OVERLAP, place)
        self.doubtful = True
        return "oneOf"

    def _add_unevaluated(self, part: _Part, keyword: str, place: str) -> None:
        """What holds for all that no other keyword describes."""
        value, same = part.node[keyword], UNEVALUATED[keyword]
        combined = part.node.keys() & COMBINED
        if value is True or same in part.node or (combined and asks(part.node)):
            return
        if combined:
            raise GrammarRefused(_refusal(keyword), place)
        part.made[same] = self._schema(value, place, shared=False)

    def _spell(self, part: _Part) -> None:
        """Say what llguidance has no word for in words that it has."""
        node, made, place = part.node, part.made, part.place
        if node.get("uniqueItems", False) is not False:
            items = self._references.resolved(node.get("items"))
            sets.unroll(made, items, f"{place}/uniqueItems")
        if "propertyNames" in node:
            names = node["propertyNames"]
            sets.name(made, names, self._references, f"{place}/propertyNames")
        for keyword in (k for k in VALUES if k in made):
            numbers.check_exact(made[keyword], f"{place}/{keyword}")
        numbers.modern(made)
        if not self._exact:
            numbers.bound(made, place, fill=self._close)
            formats.spell(made)

    def _finish(self, part: _Part) -> None:
        """Close the object that a schema describes by itself."""
        node = part.node
        if self._closes(part):
            self._objects.check(node, part.place)
            closing = self._objects.closing(node)
            if closing and not self._objects.one_by_one(node):
                part.add("allOf", [closing])
        elif self._close and not part.shared and not node.keys() & (COMBINED | set(VALUES)):
            objects.close(part.made)

    def _closes(self, part: _Part) -> bool:
        """Whether what is combined here is to be closed here, not part by part."""
        combined = bool(part.node.keys() & COMBINED)
        return combined and (
            asks(part.node) or (self._close and not part.shared and not part.alone)
        )


def _both(part: Node, closing: Closing) -> Node:
    return {"allOf": [part, closing]} if closing else part


def _refusal(keyword: str) -> str:
    return f"the keyword {keyword!r} is not supported"


def _modern(node: dict[str, Any]) -> dict[str, Any]:
    """The same with the names of 2020-12 for what older drafts said otherwise."""
    if not isinstance(node.get("items"), list):
        return node
    names = {"items": "prefixItems", "additionalItems": "items"}
    return {names.get(keyword, keyword): value for keyword, value in node.items()}
