import json
import queue
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import pytest
from ollama_nb_server.engine.errors import EngineError, GrammarDeadEnd, GrammarRefused
from ollama_nb_server.engine.grammars.grammar import Compiled, Grammars, Matcher
from ollama_nb_server.engine.messages import Grammar, SamplingParams
from ollama_nb_server.engine.native import AbortSwitch, Batch, Context, Model, generation_context
from ollama_nb_server.engine.sampling.chain import SamplerChain


def schema(document: object) -> Grammar:
    return Grammar("json_schema", json.dumps(document))


def text_of(model, tokens: list[int]) -> str:
    return b"".join(model.piece(token) for token in tokens).decode()


@pytest.mark.parametrize(
    ("document", "place", "reason"),
    [
        ({"$ref": "https://example.com/schema.json"}, "/$ref", "nothing is fetched"),
        (
            {"properties": {"a": {"$ref": "#/$defs/gone"}}},
            "/properties/a/$ref",
            "points to nothing",
        ),
        ({"$ref": "#nowhere"}, "/$ref", "points to nothing"),
        ({"items": {"properties": {"a/b": {"not": {}}}}}, "/items/properties/a~1b/not", "'not'"),
        ({"type": "array", "uniqueItems": True}, "/uniqueItems", "'uniqueItems'"),
        (
            {"properties": {"a": {"items": {"type": "string", "pattern": "(?=a)b"}}}},
            "/properties/a/items/pattern",
            "look-ahead",
        ),
        ({"$defs": {"A": {"type": "text"}}, "$ref": "#/$defs/A"}, "/$defs/A", "text"),
        ({"properties": [1]}, "/properties", "object"),
        ({"properties": {"a": 1}}, "/properties/a", "object, true or false"),
        ({"anyOf": 3}, "/anyOf", "list"),
        ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, "/oneOf", "write anyOf"),
        ({"$ref": "#"}, "/$ref", "no finite answer"),
        ({"type": "object", "properties": {"a": False}, "required": ["a"]}, "", "unsatisfiable"),
        ({"type": "object", "minProperties": 2}, "/minProperties", "minProperties"),
        ({"type": "integer", "minimum": 5, "maximum": 4}, "", "mum"),
    ],
    ids=str,
)
def test_a_schema_that_cannot_be_kept_is_refused_with_its_place(compiler, document, place, reason):
    with pytest.raises(GrammarRefused) as refusal:
        compiler.compile(schema(document))

    assert refusal.value.place == place
    assert reason in refusal.value.reason


@pytest.mark.parametrize(
    "text",
    ["", "{", "[1]", "null", '{"a":' * 500 + "1" + "}" * 500, '{"enum": ["' + "x" * 2**20 + '"]}'],
    ids=["nothing", "half", "a list", "null", "deep", "large"],
)
def test_what_is_no_schema_is_refused(compiler, text):
    with pytest.raises(GrammarRefused):
        compiler.compile(Grammar("json_schema", text))


def test_an_unknown_kind_of_grammar_is_refused(compiler):
    with pytest.raises(GrammarRefused, match="'xml'"):
        compiler.compile(Grammar("xml", "<a/>"))


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ({"type": "integer", "multipleOf": 716_659}, "/multipleOf"),
        (
            {
                "type": "integer",
                "allOf": [{"multipleOf": 97}, {"multipleOf": 89}, {"multipleOf": 83}],
            },
            "/allOf",
        ),
        (
            {
                "allOf": [{"$ref": "#/$defs/a"}, {"multipleOf": 8897}],
                "$defs": {"a": {"type": "integer", "multipleOf": 9701}},
            },
            "/allOf",
        ),
    ],
    ids=["one", "three", "by reference"],
)
def test_multiples_that_take_too_long_are_refused(compiler, document, place):
    with pytest.raises(GrammarRefused, match="multiples of") as refusal:
        compiler.compile(schema(document))

    assert refusal.value.place == place


@pytest.mark.parametrize(
    "document",
    [
        {"type": "integer", "multipleOf": 1_000_000},
        {"type": "number", "multipleOf": 0.01},
        {"type": "integer", "allOf": [{"multipleOf": 60}, {"multipleOf": 0.5}]},
        {"properties": {f"p{n}": {"type": "integer", "multipleOf": n} for n in (97, 89, 83)}},
    ],
    ids=str,
)
def test_multiples_that_are_soon_found_are_kept(compiler, document):
    assert compiler.compile(schema(document))


@pytest.mark.parametrize(
    ("keyword", "count", "refused"),
    [("allOf", 40, True), ("allOf", 3, False), ("anyOf", 40, False)],
)
def test_only_few_patterns_may_hold_for_one_text(compiler, keyword, count, refused):
    patterns = [{"type": "string", "pattern": f"^a.*{n}"} for n in range(count)]
    document = {"properties": {"a": {keyword: patterns}}, "required": ["a"]}

    with pytest.raises(GrammarRefused, match="more than 8") if refused else nullcontext():
        compiler.compile(schema(document))


def test_many_objects_with_constants_of_their_own_are_soon_told_apart(compiler):
    branches = [
        {"type": "object", "properties": {"kind": {"const": n}}, "required": ["kind"]}
        for n in range(1500)
    ]
    began = time.perf_counter()
    compiler.compile(schema({"anyOf": branches}))
    plain = time.perf_counter() - began

    began = time.perf_counter()
    compiler.compile(schema({"oneOf": branches}))

    assert time.perf_counter() - began < 5 * plain


@pytest.mark.parametrize(
    "document",
    [
        {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]},
        {"properties": {"a": {"$ref": "#/properties/a"}}, "required": ["a"]},
        {"items": {"$ref": "#"}, "minItems": 1, "type": "array"},
        {"items": {"const": 1}, "minItems": 100_000, "type": "array"},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "tags", [{}, {"after": "</think>", "opens": "<think>"}], ids=["", "thinks"]
)
def test_what_only_its_forced_text_shows_is_refused_before_an_answer(compiler, document, tags):
    with pytest.raises(GrammarRefused):
        compiler.compile(Grammar("json_schema", json.dumps(document), **tags))


@pytest.mark.parametrize(
    ("document", "text"),
    [
        (
            {"properties": {"a": {"const": 1}, "b": {"const": 2}}, "required": ["a", "b"]},
            '{"a": 1, "b": 2}',
        ),
        ({"const": {"b": 1, "a": [True, None]}}, '{"b": 1, "a": [true, null]}'),
        (
            {"$ref": "#/components/schemas/A~1b", "components": {"schemas": {"A/b": {"const": 1}}}},
            "1",
        ),
        ({"$ref": "#it", "$defs": {"x": {"$anchor": "it", "const": 2}}}, "2"),
        ({"$ref": "#/$defs/List%5Bint%5D", "$defs": {"List[int]": {"const": 3}}}, "3"),
        ({"items": [{"const": 1}], "minItems": 1, "maxItems": 1}, "[1]"),
        ({"const": "a", "x-note": 1, "discriminator": {}, "format": "password"}, '"a"'),
        ({"allOf": [{"$ref": "#/$defs/A"}], "$defs": {"A": {"const": 4}}}, "4"),
    ],
    ids=str,
)
def test_what_is_forced_is_the_one_answer_there_is(compiler, demo_model, document, text):
    matcher = Compiled(compiler.compile(schema(document))).answer()

    assert text_of(demo_model, matcher.forced()) == text


def test_parts_of_one_object_allow_each_others_properties(compiler, demo_model):
    parts = [{"properties": {n: {"const": n}}, "required": [n]} for n in ("a", "b")]
    document = {
        "type": "object",
        "allOf": [*parts[:1], {"$ref": "#/$defs/b"}],
        "$defs": {"b": parts[1]},
    }

    matcher = Compiled(compiler.compile(schema(document))).answer()

    assert text_of(demo_model, matcher.forced()).startswith('{"a": "a", "b": "b"')


def test_a_long_chain_of_definitions_is_followed_or_refused(demo_model):
    chain = {f"d{n}": {"items": {"$ref": f"#/$defs/d{n + 1}"}} for n in range(1900)}
    chain["d1900"] = {"type": "string"}
    long = {**chain, "d1900": {"items": {"$ref": "#/$defs/e0"}}}
    long |= {f"e{n}": {"items": {"$ref": f"#/$defs/e{n + 1}"}} for n in range(200)}

    assert isinstance(compiled(demo_model, {"$ref": "#/$defs/d0", "$defs": chain}), Compiled)
    assert isinstance(compiled(demo_model, {"$ref": "#/$defs/d0", "$defs": long}), GrammarRefused)


def compiled(model, document: object) -> Compiled | EngineError:
    """What the threads of grammars say."""
    grammars, told = Grammars(model), queue.SimpleQueue()
    grammars.begin()
    grammars.compile(schema(document), told.put)
    return told.get(timeout=60)


def test_what_is_long_and_slow_keeps_no_short_one_waiting(demo_model):
    grammars, told = Grammars(demo_model), queue.SimpleQueue()
    grammars.begin()
    words = [schema({"enum": [f"{n} word {m}" for m in range(20_000)]}) for n in range(3)]

    for number, grammar in enumerate([*words, schema({"const": 1})]):
        grammars.compile(grammar, tell(told, number))
    order = [told.get(timeout=60) for _ in range(4)]

    assert order != [0, 1, 2, 3]
    assert order[-1] == 2


def tell(told: queue.SimpleQueue, number: int):
    """Says which one is done."""
    return lambda outcome: told.put(number)


def test_what_nobody_waits_for_any_more_does_not_begin(demo_model):
    grammars, told = Grammars(demo_model), queue.SimpleQueue()
    wanted = [grammars.compile(schema({"const": n}), tell(told, n)) for n in range(3)]

    wanted[1].drop()
    grammars.begin()

    assert [told.get(timeout=60) for _ in range(2)] == [0, 2]


def test_what_has_been_compiled_is_kept(demo_model):
    grammars, told = Grammars(demo_model), queue.SimpleQueue()
    grammars.begin()
    grammars.compile(schema({"const": 1}), told.put)
    first = told.get(timeout=60)

    grammars.compile(schema({"const": 1}), told.put)

    assert told.get_nowait() is first


def test_other_threads_keep_their_stacks(demo_model):
    before = threading.stack_size()

    Grammars(demo_model).begin()

    assert threading.stack_size() == before


def test_only_an_end_may_follow_a_whole_answer(compiler, demo_model):
    matcher = Compiled(compiler.compile(schema({"const": 1}))).answer()
    for token in matcher.forced():
        matcher.take(token)

    assert matcher.complete
    assert all(demo_model.is_end(token) for token in matcher.allowed())


def test_a_token_that_may_not_follow_is_an_error(compiler, demo_model):
    matcher = Compiled(compiler.compile(schema({"type": "boolean"}))).answer()
    (token,) = demo_model.tokenize("x", add_special=False)

    with pytest.raises(GrammarDeadEnd):
        matcher.take(token)
    with pytest.raises(GrammarDeadEnd):
        matcher.allowed()


@pytest.mark.parametrize(
    ("constant", "liked", "drawn"),
    [(2025, b"2", b"2"), (2025, b"20", b"20"), (1, b"2", b"1")],
    ids=["its shorter token", "its longer one", "another text"],
)
def test_the_models_own_cut_of_certain_text_stays(compiler, demo_model, constant, liked, drawn):
    matcher = Compiled(compiler.compile(schema({"const": constant}))).answer()
    sampler = SamplerChain(demo_model, SamplingParams(seed=1, temperature=0), 64)
    token = demo_model.vocabulary().index(liked)

    with computed(demo_model) as context:
        taken = favoured(context, token, matcher, sampler)

    assert demo_model.piece(taken) == drawn
    assert text_of(demo_model, [taken, *matcher.forced()]) == str(constant)


def favoured(context: Context, token: int, matcher: Matcher, sampler: SamplerChain) -> int:
    """What is drawn if the model would like this token best."""
    context.logits(0)[:] = 0
    context.logits(0)[token] = 9
    return matcher.draw(sampler, context, 0)


@contextmanager
def computed(model: Model) -> Iterator[Context]:
    """A context with a row of logits."""
    sizes = {"num_ctx": 64, "num_parallel": 1, "num_batch": 8, "threads": 1, "flash": False}
    context, batch = generation_context(model, abort=AbortSwitch(), **sizes), Batch(8)
    batch.fill([(0, 0, [1], True)])
    context.decode(batch)
    yield context
    context.close()
