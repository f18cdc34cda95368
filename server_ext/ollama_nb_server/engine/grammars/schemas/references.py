"""Where the references of a schema lead, all within the document: nothing is ever fetched.

What is done with what they lead to is in `rewriting`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from ollama_nb_server.engine.errors import GrammarRefused
from ollama_nb_server.engine.grammars.schemas.keywords import PARTS, escaped

MOST_STEPS = 100  # from reference to reference


class References:
    """Pointers into one schema."""

    def __init__(self, root: dict[str, Any]) -> None:
        self._root = root
        self._anchors = dict(_anchors(root, ""))
        own = root.get("$id", root.get("id"))
        self._own = own.rstrip("#") if isinstance(own, str) else ""

    def target(self, value: Any, place: str) -> str:
        """The pointer that a reference means, once it is known to be there.

        Raises
        ------
        GrammarRefused
            If it leads out of the document, or nowhere.
        """
        if not isinstance(value, str):
            raise GrammarRefused("a reference is a text", place)
        inside = self._inside(value)
        if not inside.startswith("#"):
            raise GrammarRefused(
                f"{value!r} points out of the schema; put it under $defs, nothing is fetched", place
            )
        pointer = unquote(inside[1:]).rstrip("/")
        pointer = self._anchors.get(pointer, pointer)
        try:
            self.at(pointer)
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise GrammarRefused(f"{value!r} points to nothing", place) from error
        return pointer

    def _inside(self, value: str) -> str:
        """The same without the document's own name before it."""
        if self._own and value.split("#")[0] == self._own:
            return "#" + value.partition("#")[2]
        return value

    def at(self, pointer: str) -> Any:
        """What a pointer leads to."""
        if pointer and not pointer.startswith("/"):
            raise KeyError(pointer)
        node: Any = self._root
        for name in pointer.split("/")[1:]:
            name = name.replace("~1", "/").replace("~0", "~")
            node = node[int(name)] if isinstance(node, list) else node[name]
        return node

    def follow(self, node: dict[str, Any]) -> Any:
        """What a schema refers to; true if that cannot be said (it is refused in its place)."""
        try:
            return self.at(self.target(node["$ref"], ""))
        except GrammarRefused:
            return True

    def resolved(self, node: Any) -> Any:
        """What a schema that is only a reference refers to."""
        for _ in range(MOST_STEPS):
            if not isinstance(node, dict) or node.keys() & PARTS != {"$ref"}:
                return node
            node = self.follow(node)
        return True  # a circle


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
