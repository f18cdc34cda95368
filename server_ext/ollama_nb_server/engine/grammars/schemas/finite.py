"""Which definitions have an answer that comes to an end, and what becomes of those that have none.

Works on what `rewriting` has made: every reference in it is to one of its `$defs`.
"""

from __future__ import annotations

from typing import Any

from ollama_nb_server.engine.errors import GrammarRefused
from ollama_nb_server.engine.grammars.schemas.keywords import CHOICES, LISTS, MAPS, SINGLES, Node

ENDLESS = "no finite answer fits: what is required here requires itself again"


def keep_finite(
    document: dict[str, Any], definitions: dict[str, Node], places: dict[int, str]
) -> None:
    """Leave out the alternatives and properties whose answers would never end.

    `places` says by `id` where a schema comes from.

    Raises
    ------
    GrammarRefused
        If nothing would be left, with the place of the reference that closes the circle.
    """
    ending = _ending(definitions)
    if len(ending) == len(definitions):
        return
    if not _ends(document, ending):
        raise GrammarRefused(ENDLESS, _circle(document, definitions, ending, places))
    for node in (document, *definitions.values()):
        if isinstance(node, dict):
            _drop_endless(node, ending)


def _ending(definitions: dict[str, Node]) -> set[str]:
    """Definitions with a finite answer: those that need none but such as have one.

    Looked through from both ends in turn, as a chain is told from its last one.
    """
    ending: set[str] = set()
    names = list(definitions)
    found = True
    while found:
        names = [name for name in reversed(names) if name not in ending]
        count = len(ending)
        for name in names:
            if _ends(definitions[name], ending):
                ending.add(name)
        found = len(ending) > count
    return ending


def _ends(node: Any, ending: set[str]) -> bool:
    """Whether a schema may have a finite answer, if these definitions have one."""
    if not isinstance(node, dict):
        return True  # whether anything fits at all is llguidance's to say
    if "$ref" in node and _name(node) not in ending:
        return False
    for keyword in CHOICES:
        if node.get(keyword) and not any(_ends(part, ending) for part in node[keyword]):
            return False
    return all(_ends(part, ending) for part in _needed(node))


def _needed(node: dict[str, Any]) -> list[Any]:
    """The schemas that parts of every answer must fit."""
    needed = list(node.get("allOf", ()))
    kind = node.get("type", "object" if "properties" in node else None)
    if kind == "object" and isinstance(node.get("required"), list):
        listed = node.get("properties", {})
        needed += [listed[name] for name in node["required"] if name in listed]
    if kind == "array" and isinstance(node.get("minItems"), int):
        first = node.get("prefixItems", [])
        needed += first[: node["minItems"]]
        needed += [node["items"]] if node["minItems"] > len(first) and "items" in node else []
    return needed


def _circle(
    node: Any, definitions: dict[str, Node], ending: set[str], places: dict[int, str]
) -> str:
    """The place of the first reference that leads back to where one has been."""
    been: set[str] = set()
    while True:
        if "$ref" in node and _name(node) not in ending:
            if _name(node) in been:
                return f"{places[id(node)]}/$ref"
            been.add(_name(node))
            node = definitions[_name(node)]
            continue
        parts = _needed(node) + [part for keyword in CHOICES for part in node.get(keyword, ())]
        node = next(part for part in parts if not _ends(part, ending))


def _drop_endless(node: dict[str, Any], ending: set[str]) -> None:
    """Put `false` wherever no answer would end."""
    for keyword, value in node.items():
        if keyword in SINGLES:
            node[keyword] = _kept(value, ending)
        elif keyword in MAPS:
            node[keyword] = {name: _kept(part, ending) for name, part in value.items()}
        elif keyword in LISTS:
            node[keyword] = [_kept(part, ending) for part in value]


def _kept(node: Node, ending: set[str]) -> Node:
    if not _ends(node, ending):
        return False
    if isinstance(node, dict):
        _drop_endless(node, ending)
    return node


def _name(node: dict[str, Any]) -> str:
    return str(node["$ref"]).removeprefix("#/$defs/")
