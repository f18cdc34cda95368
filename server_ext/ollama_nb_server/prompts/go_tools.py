"""Tools as Go templates see them: Ollama's structs, which print and are JSON as Ollama's do.

How a kind of value prints is `go_values`' business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from ollama_nb_server.gotemplate import Value
from ollama_nb_server.prompts import go_json
from ollama_nb_server.prompts.go_values import JsonMap, OrderedMap, Printed, Tagged, from_json


class PropertyType(go_json.Documented, list[Value]):
    """The types that a property may have; a single one prints bare."""

    go_type = "api.PropertyType"

    def go_string(self) -> str:
        """`string`, or `[string null]`."""
        return self[0] if len(self) == 1 else f"[{' '.join(self)}]" if self else ""

    def document(self) -> Any:
        """The type if it is a single one, else the list."""
        return self[0] if len(self) == 1 else list(self)


class Property(Tagged):
    """The schema of a parameter."""

    __slots__ = ()
    json_names: ClassVar = {
        "AnyOf": "anyOf",
        "Type": "type",
        "Items": "items",
        "Description": "description",
        "Enum": "enum",
        "Properties": "properties",
        "Required": "required",
    }
    omitted_if_empty: ClassVar = frozenset(json_names)


class Properties(JsonMap):
    """The properties of a tool's parameters. An absent one is empty, as in a Go map of structs."""

    go_type = "template.templateProperties"

    def __missing__(self, name: str) -> Property:
        return property_({})

    def get(self, name: str, default: Value = None) -> Value:
        """The property of that name, or an empty one."""
        return self[name]


class Parameters(Printed):
    """What a tool's function takes."""

    __slots__ = ()
    json_names: ClassVar = {
        "Type": "type",
        "Defs": "$defs",
        "Items": "items",
        "Required": "required",
        "Properties": "properties",
    }
    omitted_if_empty: ClassVar = frozenset({"Defs", "Items", "Required"})


class ToolFunction(Printed):
    """What a tool does."""

    __slots__ = ()
    json_names: ClassVar = {
        "Name": "name",
        "Description": "description",
        "Parameters": "parameters",
    }


class Tool(Printed):
    """A tool that the model may call."""

    __slots__ = ()
    json_names: ClassVar = {"Type": "type", "Items": "items", "Function": "function"}
    omitted_if_empty: ClassVar = frozenset({"Items"})


class Tools(go_json.Documented, list[Value]):
    """All tools of a request, None being "not given", which prints as null."""

    go_type = "template.templateTools"

    def __init__(self, tools: Sequence[Mapping[str, Any]] | None) -> None:
        super().__init__(map(tool, tools or ()))
        self.are_given = tools is not None

    def document(self) -> Any:
        """The tools, or None."""
        return list(self) if self.are_given else None

    def go_string(self) -> str:
        """JSON."""
        return go_json.encode(self)


def tool(given: Mapping[str, Any]) -> Tool:
    """A tool in OpenAI's shape."""
    function = given.get("function") or {}
    described = {
        "Name": function.get("name") or "",
        "Description": function.get("description") or "",
        "Parameters": parameters(function.get("parameters") or {}),
    }
    return Tool(
        "template.templateTool",
        {
            "Type": given.get("type") or "",
            "Items": from_json(given.get("items")),
            "Function": ToolFunction("template.templateToolFunction", described),
        },
    )


def parameters(schema: Mapping[str, Any]) -> Parameters:
    """The schema of a function's parameters."""
    properties = schema.get("properties")
    return Parameters(
        "template.templateToolFunctionParameters",
        {
            "Type": schema.get("type") or "",
            "Defs": from_json(schema.get("$defs")),
            "Items": from_json(schema.get("items")),
            "Required": list(schema.get("required") or ()),
            "Properties": Properties(None if properties is None else _properties(properties)),
        },
    )


def property_(schema: Mapping[str, Any]) -> Property:
    """The schema of one parameter."""
    kinds, properties = schema.get("type") or (), schema.get("properties")
    return Property(
        "api.ToolProperty",
        {
            "AnyOf": [property_(choice) for choice in schema.get("anyOf") or ()],
            "Type": PropertyType([kinds] if isinstance(kinds, str) else kinds),
            "Items": from_json(schema.get("items")),
            "Description": schema.get("description") or "",
            "Enum": from_json(schema.get("enum") or ()),
            "Properties": None if properties is None else OrderedMap(_properties(properties)),
            "Required": list(schema.get("required") or ()),
        },
    )


def _properties(schemas: Mapping[str, Any]) -> dict[str, Property]:
    return {name: property_(schema) for name, schema in schemas.items()}
