"""The functions that Ollama adds to Go's own: json, the two dates, toTypeScriptType.

What Go itself brings is `gotemplate`'s; what JSON looks like is `go_json`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from ollama_nb_server.gotemplate import FunctionFault, Value
from ollama_nb_server.prompts import go_json
from ollama_nb_server.prompts.go_tools import Property

TYPESCRIPT = {
    "string": "string",
    "number": "number",
    "integer": "number",
    "boolean": "boolean",
    "array": "any[]",
    "object": "Record<string, any>",
    "null": "null",
}


def functions(clock: Callable[[], datetime]) -> Mapping[str, Callable[..., Value]]:
    """All four by the names that templates know, the dates read off `clock`."""

    def current_date(*format_: Value) -> str:
        return _date(clock(), format_)

    def yesterday_date(*format_: Value) -> str:
        return _date(clock() - timedelta(days=1), format_)

    return {
        "json": json,
        "currentDate": current_date,
        "yesterdayDate": yesterday_date,
        "toTypeScriptType": to_typescript_type,
    }


def _date(day: datetime, format_: Sequence[Value]) -> str:
    """The date as 2006-01-02. Ollama takes a format, and does not look at it."""
    for text in format_:
        if not isinstance(text, str):
            raise FunctionFault(f"expected string; found {text}")
    return day.date().isoformat()


def json(value: Value) -> str:
    """The value as JSON; nothing, if it has no such form."""
    try:
        return go_json.encode(value)
    except ValueError:
        return ""


def to_typescript_type(value: Value) -> str:
    """The TypeScript type of a tool's parameter, `any` for all else."""
    if not isinstance(value, Property):
        return "any"
    if choices := value.fields["AnyOf"]:
        return " | ".join(map(to_typescript_type, choices))
    return " | ".join(TYPESCRIPT.get(kind, "any") for kind in value.fields["Type"]) or "any"
