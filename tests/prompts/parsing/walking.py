"""Random texts of a shape, by the JSON that the engine is given: what a bound model may write."""

from __future__ import annotations

import json
import random
from typing import Any

WORDS = ("sea", "a b", "</tool_call>", '"q"', "{", "}", "\\", "é\n", "<", "null", "12", "", "]")


def walk(document: dict[str, Any], pick: random.Random) -> str:
    """One of the texts that a shape allows."""
    kind, value = next(iter(document.items()))
    if kind in ("text", "tag"):
        return str(value)
    if kind == "json":
        return json.dumps(instance(value, value, pick), ensure_ascii=pick.random() < 0.5)
    if kind == "until":
        return "".join(pick.choices(WORDS, k=pick.randint(0, 3))).replace(value, "") + str(value)
    if kind == "sequence":
        return "".join(walk(part, pick) for part in value)
    if kind == "choice":
        return walk(pick.choice(value), pick)
    assert kind == "repeat", document
    most = document["most"] or document["least"] + 2
    parts = [walk(value, pick) for _ in range(pick.randint(document["least"], most))]
    return str(document["separator"]).join(parts)


def instance(schema: Any, root: Any, pick: random.Random) -> Any:
    """A value that a schema of these tests' tools allows."""
    if schema.get("$ref"):
        return instance(root["$defs"][schema["$ref"].rpartition("/")[2]], root, pick)
    if "enum" in schema:
        return pick.choice(schema["enum"])
    if "anyOf" in schema:
        return instance(pick.choice(schema["anyOf"]), root, pick)
    kind = schema.get("type", "string")
    if isinstance(kind, list):
        kind = pick.choice(kind)
    if kind == "object":
        properties, required = schema.get("properties", {}), schema.get("required", [])
        chosen = [key for key in properties if key in required or pick.random() < 0.5]
        return {key: instance(properties[key], root, pick) for key in chosen}
    if kind == "array":
        return [instance(schema["items"], root, pick) for _ in range(pick.randint(0, 2))]
    if kind == "string":
        return _text(schema, pick)
    low, high = schema.get("minimum", -9), schema.get("maximum", 9)
    simple = {"integer": pick.randint(low, high), "boolean": pick.random() < 0.5, "null": None}
    return simple.get(kind, pick.random())


def _text(schema: dict[str, Any], pick: random.Random) -> str:
    """Any text; of patterns only those of ids, which a row of digits fits."""
    if "pattern" not in schema:
        return "".join(pick.choices(WORDS, k=pick.randint(0, 2)))
    return f"{pick.randint(0, 999)}" if "{1,3}" in schema["pattern"] else f"{pick.random():.7f}"
