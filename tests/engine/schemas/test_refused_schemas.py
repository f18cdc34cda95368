"""What cannot be promised is refused: where it is, and what to do instead."""

import json

import pytest
from ollama_nb_server.engine.errors import GrammarRefused
from ollama_nb_server.engine.messages import Grammar

SELF = {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}
ENTRY = {"type": "object", "properties": {"next": {"$ref": "#/$defs/E"}}, "required": ["next"]}


@pytest.mark.parametrize(
    ("schema", "place", "words"),
    [
        (SELF, "/properties/a/$ref", "no finite answer fits"),
        (
            {"properties": {"a": {"$ref": "#/properties/a"}}, "required": ["a"]},
            "/properties/a/$ref",
            "no finite answer fits",
        ),
        ({"$ref": "#/$defs/E", "$defs": {"E": ENTRY}}, "/$defs/E/properties/next/$ref", "finite"),
        ({"type": "array", "items": {"$ref": "#"}, "minItems": 1}, "/items/$ref", "finite"),
        ({"anyOf": [{"$ref": "#"}, SELF]}, "/anyOf/0/$ref", "finite"),
        (
            {"type": "json_schema", "json_schema": {"name": "a", "schema": SELF}},
            "/type",
            "alone, what is in it under 'json_schema.schema'",
        ),
        ({"type": "json_object"}, "/type", '"json" for any object'),
        ({"name": "a", "strict": True, "schema": {"type": "object"}}, "/schema", "'schema'"),
        (
            {"type": "array", "uniqueItems": True, "items": {"type": "string"}},
            "/uniqueItems",
            "leave it out and drop what comes twice",
        ),
        (
            {"type": "array", "uniqueItems": True, "items": {"enum": list("abcdefg")}},
            "/uniqueItems",
            "up to 5",
        ),
        (
            {"type": "object", "properties": {"a": {}}, "propertyNames": {"pattern": "^a"}},
            "/propertyNames",
            "where no properties are listed",
        ),
        (
            {
                "allOf": [{"anyOf": [{"properties": {"a": {}}}, {"properties": {"b": {}}}]}, {}],
                "unevaluatedProperties": False,
            },
            "/unevaluatedProperties",
            "write additionalProperties",
        ),
        ({"allOf": [{}, {}], "unevaluatedItems": False}, "/unevaluatedItems", "not supported"),
        ({"const": 2**53 + 1}, "/const", "write it as a text"),
        ({"enum": ["a", {"b": [2**53 + 1]}]}, "/enum", "write it as a text"),
        ({"type": "integer", "minimum": 10**19}, "/minimum", "ask for a text"),
        ({"type": "number", "maximum": -1e300}, "/maximum", "ask for a text"),
        ({"$id": "https://x/y", "$ref": "https://x/z#/$defs/a"}, "/$ref", "nothing is fetched"),
        (
            {"oneOf": [{"required": ["a"]}, {"type": "object", "properties": {"b": {}}}]},
            "/oneOf",
            "write anyOf",
        ),
        (  # `{}` beside null: the closed one is no object only as it is sent
            {"required": ["a"], "oneOf": [{}, {"type": "null"}]},
            "/oneOf",
            "write anyOf",
        ),
        (
            {"properties": {}, "unevaluatedProperties": False, "oneOf": [{"type": "null"}, {}]},
            "/oneOf",
            "write anyOf",
        ),
        ({"type": "string", "format": "email", "pattern": "^(?!x)"}, "/pattern", "look-around"),
    ],
    ids=str,
)
def test_a_schema_that_cannot_be_promised_is_refused(compiler, schema, place, words):
    with pytest.raises(GrammarRefused) as refusal:
        compiler.compile(Grammar("json_schema", json.dumps(schema)))

    assert refusal.value.place == place
    assert words in refusal.value.reason
