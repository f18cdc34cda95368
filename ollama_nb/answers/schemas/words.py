"""The words of a short form: values to choose from, types that other languages have, and hints.

Where a word stands, and whether it may, is decided in `short_form`.
"""

from __future__ import annotations

import difflib

from ollama_nb.answers.schemas.nodes import SCALARS, Choice, Either, Node, Scalar

# What people write for a type who know other languages.
OTHER_WORDS = {
    **dict.fromkeys(("string", "text", "char", "varchar"), "str"),
    **dict.fromkeys(("integer", "long"), "int"),
    **dict.fromkeys(("number", "double", "real", "decimal"), "float"),
    "boolean": "bool",
    **dict.fromkeys(("list", "array", "tuple", "set"), "[str]"),
    **dict.fromkeys(("dict", "object", "map"), "{name, age int}"),
    **dict.fromkeys(("timestamp", "time"), "datetime"),
    **dict.fromkeys(("none", "nil"), "null"),
}
_VALUES = {"true": True, "false": False}

Value = str | int | float | bool | None


def value_of(word: str) -> Value:
    """Read a value to choose: a number, true, false, or the word itself."""
    for read in (int, float):
        try:
            return read(word) if word.lstrip("-")[:1].isdigit() else _VALUES.get(word, word)
        except ValueError:
            continue
    return word


def combined(nodes: list[Node]) -> Node:
    """Make one type of the alternatives: a choice of values, or a union of types."""
    if len(nodes) == 1:
        return nodes[0]
    values = [_values(node) for node in nodes]
    if all(values):
        return Choice(tuple(value for some in values for value in some))
    return Either(tuple(nodes))


def _values(node: Node) -> tuple[Value, ...]:
    if isinstance(node, Choice):
        return node.values
    return (None,) if node == Scalar("null") else ()


def no_type(word: str) -> str:
    """Say that a word is no type, and what may have been meant."""
    lower = word.lower()
    near = difflib.get_close_matches(lower, SCALARS, n=1, cutoff=0.6)
    if meant := OTHER_WORDS.get(lower) or (near[0] if near else ""):
        return f"there is no type {word!r}; did you mean {meant}?"
    return (
        f"there is no type {word!r}: {', '.join(SCALARS)}, [type], {{fields}}, yes|no "
        "(a description goes after a colon)"
    )
