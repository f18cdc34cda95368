"""Random answers to random schemas: what is not refused is kept, and nothing hangs or crashes."""

import json
import random

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from ollama_nb_server.engine.errors import GrammarRefused
from ollama_nb_server.engine.grammar import Compiled
from ollama_nb_server.engine.messages import Grammar

MOST_TOKENS = 600
END = b"\xff"
CLOSING = (END, b'"', b"]", b"}", b", ", b"0")

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
        "pattern": st.sampled_from(["^[a-c]{2,4}$", "x", "^(foo|bar)", "[0-9]$", "(?=a)", "[b"]),
        "format": st.sampled_from(["date-time", "date", "uuid", "email", "ipv4", "password"]),
        "title": names,
    },
)
numbers = st.fixed_dictionaries(
    {"type": st.sampled_from(["integer", "number"])},
    optional={
        "minimum": st.integers(-20, 5),
        "maximum": st.integers(0, 40),
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
    st.sampled_from([True, False, {}, {"$ref": "#/$defs/leaf"}, {"$ref": "http://x/y"}]),
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
        },
    )
    arrays = st.fixed_dictionaries(
        {"type": st.just("array"), "maxItems": few},
        optional={
            "items": inner,
            "minItems": few,
            "prefixItems": st.lists(inner, max_size=2),
            "uniqueItems": st.booleans(),
        },
    )
    several = st.lists(inner, min_size=1, max_size=3)
    chosen = st.builds(
        lambda keyword, parts: {keyword: parts}, st.sampled_from(["anyOf", "oneOf"]), several
    )
    both = st.builds(lambda one, other: {"allOf": [one, other]}, inner, inner)
    beside = st.builds(lambda one, other: {**one, **other}, objects, chosen)
    return st.one_of(objects, arrays, chosen, both, beside)


schemas = st.recursive(plain, composed, max_leaves=6).map(
    lambda schema: (
        {**schema, "$defs": {"leaf": {"enum": ["p", "q"]}}}
        if isinstance(schema, dict)
        else {"anyOf": [schema]}
    )
)


@pytest.fixture(scope="module")
def vocabulary(demo_model):
    return demo_model.vocabulary()


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
def test_an_answer_fits_or_the_schema_is_refused(compiler, vocabulary, schema, seed):
    try:
        compiled = Compiled(compiler.compile(Grammar("json_schema", json.dumps(schema))))
    except GrammarRefused:
        return

    text, ended = random_answer(vocabulary, compiled, random.Random(seed))

    if ended:
        Draft202012Validator(schema).validate(json.loads(text))


def random_answer(
    vocabulary: list[bytes], compiled: Compiled, chance: random.Random
) -> tuple[str, bool]:
    """Text of tokens that were allowed or forced, and whether it came to its end."""
    matcher, data = compiled.answer(), b""
    for _ in range(MOST_TOKENS):
        token = chosen(vocabulary, matcher.allowed().tolist(), chance)
        if vocabulary[token].startswith(END):
            return data.decode(), True
        matcher.take(token)
        data += vocabulary[token]
        for forced in matcher.forced():
            matcher.take(forced)
            data += vocabulary[forced]
        if matcher.complete:
            return data.decode(), True
    return data.decode("utf-8", "replace"), False


def chosen(vocabulary: list[bytes], allowed: list[int], chance: random.Random) -> int:
    """One of the allowed tokens, often one that brings an end nearer."""
    ending = [t for t in allowed if vocabulary[t].startswith(CLOSING)]
    return chance.choice(ending if ending and chance.random() < 0.5 else allowed)
