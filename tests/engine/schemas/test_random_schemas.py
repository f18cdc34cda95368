"""Random answers to random schemas: what is not refused is kept, and nothing hangs or crashes."""

import json
import random

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from ollama_nb_server.engine.errors import GrammarRefused
from ollama_nb_server.engine.grammars.grammar import Compiled
from ollama_nb_server.engine.messages import Grammar

DEFINITIONS = {
    "leaf": {"enum": ["p", "q"]},
    "tree": {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/tree"}, "kind": {"$ref": "#/$defs/leaf"}},
        "required": ["kind"],
    },
}

names = st.sampled_from(["a", "b", "c d", "é", "x/y", "kind"])
values = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.sampled_from([0.5, -1.25, 1e6]) | names,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(names, inner, max_size=2),
    max_leaves=4,
)
few = st.integers(0, 3)
texts = st.fixed_dictionaries(
    {"type": st.just("string")},
    optional={
        "minLength": few,
        "maxLength": st.integers(3, 9),
        "pattern": st.sampled_from(["^[a-c]{2,4}$", "x", "^(foo|bar)", "[0-9]$", "(?=a)"]),
        "format": st.sampled_from(["date-time", "date", "uuid", "email", "ipv4", "password"]),
        "title": names,
    },
)
numbers = st.fixed_dictionaries(
    {"type": st.sampled_from(["integer", "number"])},
    optional={
        "minimum": st.integers(-20, 5),
        "maximum": st.integers(0, 40) | st.sampled_from([2**53 + 1, 2**63 - 1, 3.4e38]),
        "exclusiveMinimum": st.sampled_from([-7, 0.5]),
        "multipleOf": st.sampled_from([1, 3, 0.25]),
    },
)
plain = st.one_of(
    texts,
    numbers,
    st.just({"type": "boolean"}),
    st.just({"type": ["string", "null"], "maxLength": 4}),
    st.builds(lambda value: {"const": value}, values),
    st.builds(lambda found: {"enum": found}, st.lists(values, min_size=1, max_size=4)),
    st.sampled_from([True, False, {}, {"$ref": "#/$defs/leaf"}, {"$ref": "#/$defs/tree"}]),
)


def composed(inner: st.SearchStrategy) -> st.SearchStrategy:
    objects = st.fixed_dictionaries(
        {"type": st.just("object"), "properties": st.dictionaries(names, inner, max_size=3)},
        optional={
            "required": st.lists(names, unique=True, max_size=2),
            "additionalProperties": st.booleans() | inner,
            "minProperties": few,
            "maxProperties": few,
            "patternProperties": st.dictionaries(st.sampled_from(["^x", "b"]), inner, max_size=1),
            "unevaluatedProperties": st.booleans() | inner,
            "propertyNames": st.sampled_from(
                [{"type": "string"}, {"enum": ["a", "b"]}, {"pattern": "b"}]
            ),
        },
    )
    arrays = st.fixed_dictionaries(
        {"type": st.just("array"), "maxItems": few},
        optional={
            "items": inner,
            "minItems": few,
            "prefixItems": st.lists(inner, max_size=2),
            "uniqueItems": st.booleans(),
            "unevaluatedItems": st.booleans() | inner,
        },
    )
    several = st.lists(inner, min_size=1, max_size=3)
    chosen = st.builds(
        lambda keyword, parts: {keyword: parts}, st.sampled_from(["anyOf", "oneOf"]), several
    )
    both = st.builds(lambda one, other: {"allOf": [one, other]}, inner, inner)
    beside = st.builds(lambda *parts: merged(parts), objects, chosen, chosen | both)
    return st.one_of(objects, arrays, chosen, both, beside)


def merged(parts: tuple[dict, ...]) -> dict:
    return {keyword: value for part in parts for keyword, value in part.items()}


schemas = st.recursive(plain, composed, max_leaves=6).map(
    lambda schema: (
        {**schema, "$defs": DEFINITIONS} if isinstance(schema, dict) else {"anyOf": [schema]}
    )
)


@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(schema=schemas, seed=st.integers(0, 2**32))
@example({"type": "object", "properties": {"a": {}}, "additionalProperties": {"type": "null"}}, 1)
@example({"oneOf": [{"required": ["a"]}, {"type": "object", "properties": {"b": {}}}]}, 2)
@example({"type": "array", "items": {"type": "number"}, "maxItems": 30}, 3)
def test_an_answer_fits_or_the_schema_is_refused(compiler, walk, schema, seed):
    try:
        compiled = Compiled(compiler.compile(Grammar("json_schema", json.dumps(schema))))
    except GrammarRefused:
        return

    text, ended = walk(compiled, random.Random(seed))

    if ended:
        Draft202012Validator(schema).validate(json.loads(text))
