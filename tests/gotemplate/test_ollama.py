"""Templates that a real Ollama was given, and what it printed (the shared conformance cases).

The messages and tools are made by hand here, plainly: `prompts` has Ollama's own values.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ollama_nb_server.gotemplate import GoTemplateError, Struct, Value, parse

CASES = json.loads(Path(__file__).with_name("ollama.json").read_text("utf-8"))
ASKED = [
    {"role": "system", "content": "System text"},
    {"role": "user", "content": "Prompt text"},
]


class Json(dict[str, Any]):
    """A map that prints as JSON."""

    def go_string(self) -> str:
        return as_json(self)


class JsonList(list[Any]):
    """A list that prints as JSON, `null` if it is empty."""

    def go_string(self) -> str:
        return as_json(self) if self else "null"


class Types(list[str]):
    """The types of a property: a single one prints bare."""

    def go_string(self) -> str:
        return self[0] if len(self) == 1 else f"[{' '.join(self)}]"


def plain(value: Value) -> Any:
    """What JSON shows of a value."""
    if isinstance(value, Struct):
        return {name: plain(item) for name, item in value.fields.items()}
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Json):
        return {key: plain(value[key]) for key in sorted(value)}
    return value


def as_json(value: Value) -> str:
    text = json.dumps(plain(value), ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def property_(schema: dict[str, Any]) -> Struct:
    kinds = schema.get("type", [])
    fields = {
        "Type": Types([kinds] if isinstance(kinds, str) else kinds),
        "Description": schema.get("description", ""),
        "Enum": schema.get("enum", []),
    }
    return PrintedProperty("api.ToolProperty", fields)


class PrintedProperty(Struct):
    """A property as JSON shows it."""

    def schema(self) -> dict[str, Any]:
        shown = {"type": self.fields["Type"].go_string()}
        for name in ("Description", "Enum"):
            if self.fields[name]:
                shown[name.lower()] = self.fields[name]
        return shown


class Properties(dict[str, PrintedProperty]):
    """Properties print as their schemas."""

    def go_string(self) -> str:
        return as_json({name: item.schema() for name, item in self.items()})


def tool(described: dict[str, Any]) -> Struct:
    function = described["function"]
    schema = function["parameters"]
    properties = Properties({name: property_(s) for name, s in schema["properties"].items()})
    parameters = {
        "Type": schema["type"],
        "Required": schema.get("required", []),
        "Properties": properties,
    }
    fields = {
        "Name": function["name"],
        "Description": function.get("description", ""),
        "Parameters": Struct("api.ToolFunctionParameters", parameters),
    }
    return Struct("api.Tool", {"Type": "function", "Function": Struct("api.ToolFunction", fields)})


def call(described: dict[str, Any]) -> Struct:
    function = described["function"]
    arguments = Json(
        {k: float(v) if type(v) is int else v for k, v in function["arguments"].items()}
    )
    fields = {"Index": function["index"], "Name": function["name"], "Arguments": arguments}
    named = Struct("api.ToolCallFunction", fields)
    return Struct("api.ToolCall", {"ID": described["id"], "Function": named})


def message(described: dict[str, Any]) -> Struct:
    fields = {
        "Role": described["role"],
        "Content": described["content"],
        "Thinking": "",
        "Images": [],
        "ToolCalls": [call(each) for each in described.get("tool_calls", [])],
    }
    return Struct("*api.Message", fields)


def data_of(case: dict[str, Any]) -> dict[str, Any]:
    system = case.get("system", "System text")
    asked = [ASKED[0] | {"content": system}, ASKED[1]]
    return {
        "System": system,
        "Messages": [message(each) for each in case.get("messages", asked)],
        "Tools": JsonList(map(tool, case.get("tools", []))),
        "Response": "",
        "Think": case.get("think", False),
        "ThinkLevel": "",
        "IsThinkSet": "think" in case,
    }


def outcome(case: dict[str, Any]) -> dict[str, str]:
    try:
        return {"text": parse(case["template"], {"json": as_json}).execute(data_of(case))}
    except GoTemplateError as fault:
        return {"error": str(fault)}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_a_template_prints_what_ollama_prints(case: dict[str, Any]) -> None:
    expected = {key: value for key, value in case.items() if key in ("text", "error")}

    assert outcome(case) == expected
