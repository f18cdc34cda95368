"""JSON Schemas as users write them, made into what llguidance compiles; refusals name the place.

An answer that fits the result fits the schema, never more. Compiling is `grammar`'s affair.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any
from urllib.parse import unquote

import orjson

from ollama_nb_server.engine.apart import exclusive
from ollama_nb_server.engine.errors import GrammarRefused

MAX_SCHEMA_BYTES = 1 << 20
MAX_DEPTH = 100  # of brackets; llguidance's reader ends at 128
MAX_DEFINITIONS = 2000  # a chain of so many fits the compiling thread's stack

OVERLAP = (
    "two of these could fit the same answer; give each a property with a constant of its own, "
    "or write anyOf"
)

Node = dict[str, Any] | bool

MAPS = ("properties", "patternProperties")  # keywords whose values' values are schemas
LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
SINGLES = ("items", "additionalItems", "additionalProperties")
COMBINED = frozenset(("anyOf", "oneOf", "allOf", "$ref"))
PLAIN = (
    *("type", "enum", "const", "required", "minProperties", "maxProperties"),
    *("minItems", "maxItems", "minLength", "maxLength", "pattern"),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
)
FORMATS = frozenset(
    ("date-time", "date", "time", "duration", "email", "hostname", "ipv4", "ipv6", "uri", "uuid")
)
PARTS = frozenset((*MAPS, *LISTS, *SINGLES, *PLAIN, "$ref", "format"))
# Keywords that decide what is valid and that no grammar here can promise; the value that says
# nothing is let through. Whatever is in none of these lists is an annotation (JSON Schema 6.5).
REFUSED: dict[str, Any] = {
    **dict.fromkeys(("not", "if", "then", "else", "contains", "propertyNames")),
    **{keyword: {} for keyword in ("dependentRequired", "dependentSchemas", "dependencies")},
    **dict.fromkeys(("unevaluatedItems", "unevaluatedProperties"), True),
    **dict.fromkeys(("$dynamicRef", "$recursiveRef")),
    "uniqueItems": False,
}


@dataclass(slots=True)
class Prepared:
    """A schema for llguidance, and where each of its parts comes from (JSON pointers)."""

    document: dict[str, Any]
    parts: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def alone(self, part: dict[str, Any]) -> dict[str, Any]:
        """A document of one part only."""
        return {**part, "$defs": self.document.get("$defs", {})}


def read(text: str) -> dict[str, Any]:
    """The schema that a text is.

    Raises
    ------
    GrammarRefused
        If it is none, or too large.
    """
    if len(text.encode()) > MAX_SCHEMA_BYTES:
        raise GrammarRefused(f"the schema is larger than {MAX_SCHEMA_BYTES} bytes", "")
    try:
        root = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise GrammarRefused(f"the schema is not JSON: {error}", "") from error
    if not isinstance(root, dict):
        raise GrammarRefused("the schema is not an object", "")
    if _depth(root) > MAX_DEPTH:
        raise GrammarRefused(f"the schema is nested more than {MAX_DEPTH} deep", "")
    return root


def _depth(root: Any) -> int:
    """How many brackets are open at once; counted level by level, for deep ones too."""
    depth, level = 0, [root]
    while level:
        depth += 1
        values = chain.from_iterable(n.values() if isinstance(n, dict) else n for n in level)
        level = [value for value in values if isinstance(value, dict | list)]
    return depth


def prepared(root: dict[str, Any], *, close: bool) -> Prepared:
    """Rewrite a schema: resolve references within the document, drop annotations.

    With `close`, an object with listed properties takes no others unless the schema says so:
    what else is valid there makes answers endless.

    Raises
    ------
    GrammarRefused
        With a JSON pointer to what cannot be promised.
    """
    return _Rewriting(root, close=close).prepared()


class _Rewriting:
    """One schema on its way. A `shared` part describes an object together with others."""

    def __init__(self, root: dict[str, Any], *, close: bool) -> None:
        self._root, self._close = root, close
        self._anchors = dict(_anchors(root, ""))
        self._names: dict[tuple[str, bool], str] = {}
        self._waiting: deque[tuple[str, bool]] = deque()
        self._parts: list[tuple[str, dict[str, Any]]] = []

    def prepared(self) -> Prepared:
        """Rewrite the root, then what is referred to, then what that refers to."""
        root = self._root if self._root.keys() & PARTS else {**self._root, "type": "object"}
        document = self._object(root, "", shared=False)
        definitions: dict[str, Node] = {}
        while self._waiting:
            place, shared = self._waiting.popleft()
            name = self._names[place, shared]
            definitions[name] = self._schema(self._at(place), place, shared=shared)
        return Prepared({**document, "$defs": definitions}, self._parts)

    def _schema(self, node: Any, place: str, *, shared: bool) -> Node:
        if isinstance(node, bool):
            return node
        if not isinstance(node, dict):
            raise GrammarRefused("a schema is an object, true or false", place)
        return self._object(node, place, shared=shared)

    def _object(self, node: dict[str, Any], place: str, *, shared: bool) -> dict[str, Any]:
        for keyword in (k for k in node if k in REFUSED and node[k] != REFUSED[k]):
            raise GrammarRefused(f"the keyword {keyword!r} is not supported", f"{place}/{keyword}")
        alone = not shared and len(node.keys() & PARTS) == 1
        made: dict[str, Any] = {}
        self._parts.append((place, made))
        for keyword, value in _modern(node).items():
            inside = f"{place}/{keyword}"
            if keyword == "$ref":
                made[keyword] = self._reference(value, inside, shared=not alone)
            elif keyword in MAPS:
                made[keyword] = self._map(value, inside)
            elif keyword == "oneOf" and self._close:
                made["anyOf"] = self._one_of(value, inside, shared=not alone)
            elif keyword in LISTS:
                several = keyword == "allOf" and isinstance(value, list) and len(value) > 1
                beside = keyword != "prefixItems" and (several or not alone)
                made[keyword] = self._list(value, inside, shared=beside)
            elif keyword in SINGLES:
                made[keyword] = self._schema(value, inside, shared=False)
            elif keyword in PLAIN or (keyword == "format" and value in FORMATS):
                made[keyword] = value
        _check_counts(made, place)
        if self._close and not shared and not made.keys() & COMBINED:
            _finish(made)
        return made

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

    def _one_of(self, value: Any, place: str, *, shared: bool) -> list[Node]:
        """As alternatives of which no two can fit one answer, or else not at all.

        What llguidance would find of them here holds for closed objects, not for those sent.
        """
        made = self._list(value, place, shared=shared)
        if not exclusive(value, self._resolved, closed=not shared):
            raise GrammarRefused(OVERLAP, place)
        return made

    # --- references -------------------------------------------------------------------------------

    def _reference(self, value: Any, place: str, *, shared: bool) -> str:
        key = self._target(value, place), shared
        if key not in self._names:
            if len(self._names) >= MAX_DEFINITIONS:
                raise GrammarRefused(f"more than {MAX_DEFINITIONS} definitions", place)
            self._names[key] = str(len(self._names))
            self._waiting.append(key)
        return f"#/$defs/{self._names[key]}"

    def _resolved(self, node: Any) -> Any:
        """What a schema that is only a reference refers to."""
        for _ in range(MAX_DEPTH):
            if not isinstance(node, dict) or node.keys() & PARTS != {"$ref"}:
                return node
            node = self._at(self._target(node["$ref"], ""))
        return True  # a circle

    def _target(self, value: Any, place: str) -> str:
        """The pointer that a reference means, once it is known to be there."""
        if not isinstance(value, str):
            raise GrammarRefused("a reference is a text", place)
        if not value.startswith("#"):
            raise GrammarRefused(
                f"{value!r} points out of the schema; put it under $defs, nothing is fetched", place
            )
        pointer = unquote(value[1:]).rstrip("/")
        pointer = self._anchors.get(pointer, pointer)
        try:
            self._at(pointer)
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise GrammarRefused(f"{value!r} points to nothing", place) from error
        return pointer

    def _at(self, pointer: str) -> Any:
        if pointer and not pointer.startswith("/"):
            raise KeyError(pointer)
        node: Any = self._root
        for name in pointer.split("/")[1:]:
            name = name.replace("~1", "/").replace("~0", "~")
            node = node[int(name)] if isinstance(node, list) else node[name]
        return node


def escaped(name: str) -> str:
    """A key as a part of a JSON pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")


def _anchors(node: Any, place: str) -> Iterator[tuple[str, str]]:
    """Names of `$anchor` with the places they stand for."""
    if isinstance(node, dict):
        if isinstance(node.get("$anchor"), str):
            yield node["$anchor"], place
        for name, value in node.items():
            yield from _anchors(value, f"{place}/{escaped(name)}")
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _anchors(value, f"{place}/{index}")


def _check_counts(made: dict[str, Any], place: str) -> None:
    """A grammar counts a key as often as it is written, JSON once."""
    least, required = made.get("minProperties", 0), made.get("required", [])
    if isinstance(least, int) and isinstance(required, list) and max(len(required), 1) < least:
        raise GrammarRefused(
            "of minProperties only 1, or as many as are required, is supported",
            f"{place}/minProperties",
        )


def _finish(made: dict[str, Any]) -> None:
    """Say of what kind a schema with properties or items is, and that there are no others."""
    if "properties" in made:
        made.setdefault("type", "object")
        if "patternProperties" not in made:
            made.setdefault("additionalProperties", False)
    elif "items" in made or "prefixItems" in made:
        made.setdefault("type", "array")


def _modern(node: dict[str, Any]) -> dict[str, Any]:
    """The same with the names of 2020-12 for what older drafts said otherwise."""
    if not isinstance(node.get("items"), list):
        return node
    names = {"items": "prefixItems", "additionalItems": "items"}
    return {names.get(keyword, keyword): value for keyword, value in node.items()}
