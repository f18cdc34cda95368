"""Gemma's own notation for values and schemas: braces, keys without quotes, texts between marks.

Owns which parts of a schema Gemma 4 is told of, and in which order. Sources: Google's template of
the model, as Ollama follows it (its oddities included: two types of a parameter become one text).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ollama_nb_server.gotemplate.formatting import show

Schema = Mapping[str, Any]

QUOTE = '<|"|>'
KEYWORDS = frozenset({"description", "type", "properties", "required", "nullable"})
INT64 = 2**63


def braced(value: Any, quote: str, *, nil: str = "null", quotes_keys: bool = False) -> str:
    """A value: `{a:1,b:[true,<|"|>text<|"|>]}`, sorted by key."""

    def written(inner: Any) -> str:
        return braced(inner, quote, nil=nil, quotes_keys=quotes_keys)

    if value is None:
        return nil
    if isinstance(value, str):
        return f"{quote}{value}{quote}"
    if isinstance(value, dict):
        mark = quote if quotes_keys else ""
        pairs = (f"{mark}{key}{mark}:{written(value[key])}" for key in sorted(value))
        return f"{{{','.join(pairs)}}}"
    if isinstance(value, list):
        return f"[{','.join(map(written, value))}]"
    return _number(value) if isinstance(value, float) else show(value)


def _number(value: float) -> str:
    whole = -INT64 <= value < INT64 and value.is_integer()
    return str(int(value)) if whole else show(value)


def go_upper(text: str) -> str:
    """Upper case, letter by letter: in Go none becomes two."""
    return "".join(c.upper() if len(c.upper()) == 1 else c for c in text)


def declared_properties(schemas: Mapping[str, Schema]) -> str:
    """The properties of a tool's parameters."""
    return _properties({name: _typed(schema) for name, schema in schemas.items()})


def _typed(schema: Schema) -> dict[str, Any]:
    """A parameter's schema with its type as one text, and alternatives of types as types."""
    kinds = schema.get("type") or _alternatives(schema)
    kept = {
        key: schema[key] for key in ("description", "enum", "items", "required") if key in schema
    }
    if kinds:
        kept["type"] = kinds if isinstance(kinds, str) else _listed(kinds)
    if schema.get("properties") is not None:
        kept["properties"] = {name: _typed(s) for name, s in schema["properties"].items()}
    return kept


def _alternatives(schema: Schema) -> list[str]:
    """The types among which `anyOf` lets choose, if it says nothing else."""
    branches = schema.get("anyOf") or ()
    if any(set(branch) != {"type"} for branch in branches):
        return []
    return list(dict.fromkeys(kind for branch in branches for kind in _kinds(branch["type"])))


def _kinds(kinds: str | list[str]) -> list[str]:
    return [kinds] if isinstance(kinds, str) else kinds


def _listed(kinds: list[str]) -> str:
    if len(kinds) == 1:
        return kinds[0]
    quoted = ", ".join(f"'{go_upper(kind)}'" for kind in kinds)
    return f"[{quoted}]"


def _properties(schemas: Schema) -> str:
    known = (name for name in sorted(schemas) if name not in KEYWORDS)
    return ",".join(
        f"{n}:{{{_property(schemas[n])}}}" for n in known if isinstance(schemas[n], dict)
    )


def _property(schema: Schema) -> str:
    """What is told of one parameter."""
    names = _type_names(schema.get("type"))
    kind = names[0] if names else ""
    parts = [_described(schema), _of_kind(schema, kind)]
    parts += ["nullable:true"] if schema.get("nullable") is True else []
    if kind == "OBJECT":
        inner = schema.get("properties")
        parts.append(f"properties:{{{_properties(inner if isinstance(inner, dict) else schema)}}}")
        required = _texts(schema.get("required"))
        parts += [f"required:{_list(required)}"] if required else []
    return ",".join(filter(None, [*parts, _type(names)]))


def _described(schema: Schema) -> str:
    description = schema.get("description")
    if not isinstance(description, str) or not description:
        return ""
    return f"description:{QUOTE}{description}{QUOTE}"


def _of_kind(schema: Schema, kind: str) -> str:
    """The values of a text, or the items of an array."""
    enum, items = schema.get("enum"), schema.get("items")
    if kind == "STRING" and isinstance(enum, list) and enum:
        return f"enum:{_list(map(show, enum))}"
    if kind == "ARRAY" and isinstance(items, dict) and items:
        return f"items:{{{','.join(_item_part(key, items[key]) for key in _told(items))}}}"
    return ""


def _told(items: Schema) -> list[str]:
    return [key for key in sorted(items) if items[key] is not None]


def _item_part(key: str, value: Any) -> str:
    """One keyword of the schema of an array's items."""
    if key == "properties":
        return f"properties:{{{_properties(value) if isinstance(value, dict) else ''}}}"
    if key == "required":
        return f"required:{_list(_texts(value))}"
    if key == "type":
        return _type(_type_names(value))
    return f"{key}:{braced(value, QUOTE, quotes_keys=True)}"


def _type(names: list[str]) -> str:
    if not names:
        return ""
    return f"type:{QUOTE}{names[0]}{QUOTE}" if len(names) == 1 else f"type:{_list(names)}"


def _type_names(kinds: Any) -> list[str]:
    return [go_upper(kind) for kind in ([kinds] if isinstance(kinds, str) else _texts(kinds))]


def _texts(values: Any) -> list[str]:
    return [v for v in values if isinstance(v, str)] if isinstance(values, list) else []


def _list(texts: Iterable[str]) -> str:
    return f"[{','.join(f'{QUOTE}{text}{QUOTE}' for text in texts)}]"
