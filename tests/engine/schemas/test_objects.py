"""Objects that several schemas describe together: whole, closed, and such as all of them take."""

import pytest

A = {"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"]}
B = {"type": "object", "properties": {"b": {"type": "null"}}, "required": ["b"]}
MAYBE_C = {"properties": {"c": {"const": 1}}}
TREE = {
    "allOf": [
        {"$ref": "#/$defs/Named"},
        {"type": "object", "properties": {"kids": {"items": {"$ref": "#/$defs/Tree"}}}},
    ]
}
NAMED = {"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"]}


@pytest.mark.parametrize(
    ("schema", "least", "most"),
    [
        ({"allOf": [A, B]}, "ab", "ab"),
        ({"allOf": [A, B, MAYBE_C]}, "ab", "abc"),
        ({**A, "allOf": [MAYBE_C]}, "a", "ac"),
        ({"$ref": "#/$defs/b", **A, "$defs": {"b": B}}, "ab", "ab"),
        ({**A, "anyOf": [B, MAYBE_C]}, "a", "abc"),
        ({**A, "oneOf": [B, {"properties": {"d": True}, "required": ["d"]}]}, "a", "abd"),
        ({**A, "anyOf": [B], "oneOf": [{**MAYBE_C, "type": "object"}]}, "ab", "abc"),
        ({"allOf": [{"anyOf": [A, B]}, MAYBE_C]}, "", "abc"),
        ({**A, "required": ["a", "e"]}, "ae", "ae"),
        ({"type": "object", "required": ["a"]}, "a", "a"),
        ({**MAYBE_C, "anyOf": [{"required": ["c"]}, {"required": ["f"]}]}, "", "cf"),
        ({"$ref": "#/$defs/Tree", "$defs": {"Tree": TREE, "Named": NAMED}}, "a", ("a", "kids")),
        ({"allOf": [A, B], "unevaluatedProperties": False}, "ab", "ab"),
        ({**A, "anyOf": [B, MAYBE_C], "unevaluatedProperties": False}, "a", "abc"),
        ({**A, "unevaluatedProperties": False}, "a", "a"),
        ({**A, "unevaluatedProperties": False, "additionalProperties": False}, "a", "a"),
        ({"patternProperties": {"^x": {"type": "null"}}, "maxProperties": 1}, "", ("x",)),
    ],
    ids=str,
)
def test_an_object_has_the_properties_that_are_spoken_of(answers, schema, least, most):
    found = answers(schema)

    assert all(set(least) <= value.keys() for value in found)
    assert all(name[:4] in most or name[0] in most for value in found for name in value)


@pytest.mark.parametrize(
    "schema",
    [
        {**A, "additionalProperties": {"type": "null"}},
        {"allOf": [{**A, "additionalProperties": {"type": "null"}}]},
        {**A, "unevaluatedProperties": {"type": "null"}},
    ],
    ids=str,
)
def test_an_object_stays_open_where_the_schema_says_so(writes, schema):
    assert writes(schema, '{"a": true, "more": null}')


@pytest.mark.parametrize(
    ("schema", "text", "fits"),
    [
        ({"propertyNames": {"type": "string"}}, '{"x": 1}', True),
        ({"propertyNames": {"enum": ["x", "y"]}}, '{"y": 1}', True),
        ({"propertyNames": {"enum": ["x", "y"]}}, '{"z": 1}', False),
        ({"propertyNames": {"pattern": "^[0-9]+$"}}, '{"12": 1}', True),
        ({"propertyNames": {"pattern": "^[0-9]+$"}}, '{"a": 1}', False),
        ({"propertyNames": {"maxLength": 2}}, '{"abc": 1}', False),
        ({"propertyNames": {"format": "date"}}, '{"2024-05-06": 1}', True),
        ({"propertyNames": False}, "{}", True),
        (
            {"propertyNames": {"$ref": "#/$defs/K"}, "$defs": {"K": {"enum": ["x"]}}},
            '{"x": 1}',
            True,
        ),
    ],
    ids=str,
)
def test_names_of_properties_can_be_bound(writes, schema, text, fits):
    assert writes({"type": "object", "additionalProperties": {"const": 1}, **schema}, text) is fits


@pytest.mark.parametrize(
    ("items", "bounds", "text", "fits"),
    [
        ({"enum": ["a", "b", "c"]}, {}, '["c", "a"]', True),
        ({"enum": ["a", "b", "c"]}, {}, '["a", "a"]', False),
        ({"enum": ["a", "b", "c"]}, {"minItems": 3}, '["a", "b"]', False),
        ({"type": "boolean"}, {}, "[true, false]", True),
        ({"$ref": "#/$defs/E"}, {}, '["y", "x"]', True),
        ({"type": "string"}, {"maxItems": 1}, '["any"]', True),
    ],
    ids=str,
)
def test_items_that_must_differ_do(writes, items, bounds, text, fits):
    schema = {"type": "array", "uniqueItems": True, "items": items, **bounds}

    assert writes({**schema, "$defs": {"E": {"enum": ["x", "y"]}}}, text) is fits


@pytest.mark.parametrize(
    "schema",
    [
        {"anyOf": [{"type": "null"}, {**A, "properties": {"a": {"$ref": "#"}}}]},
        {"properties": {"a": {"$ref": "#"}, "b": {"type": "null"}}},
        {"type": "array", "items": {"$ref": "#"}},
        {"properties": {"x": {"$ref": "#/$defs/X"}}, "$defs": {"X": {"$ref": "#/$defs/X"}}},
    ],
    ids=str,
)
def test_recursion_that_can_end_does(answers, schema):
    assert len(answers(schema)) == 12


def test_a_property_that_could_never_end_is_not_begun(writes):
    endless = {"type": "object", "properties": {"x": {"$ref": "#/$defs/E"}}, "required": ["x"]}
    schema = {"properties": {"e": {"$ref": "#/$defs/E"}}, "$defs": {"E": endless}}

    assert writes(schema, "{}")
    assert not writes(schema, '{"e": {}}')


def test_alternatives_hold_beside_other_alternatives(answers):
    schema = {"anyOf": [A, B], "oneOf": [{"required": ["a"], **A}, {"type": "null"}]}

    assert all("a" in value for value in answers(schema))
