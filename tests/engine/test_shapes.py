"""Shapes of calls: which are refused and where, how many compile how soon, what is kept."""

from __future__ import annotations

import json
import queue

import pytest
from ollama_nb_server.engine.errors import GrammarRefused
from ollama_nb_server.engine.grammars import compiling
from ollama_nb_server.engine.grammars.grammar import Grammars
from ollama_nb_server.engine.messages import Grammar

PROMPT = "<|im_start|>user\nTell me a story about a robot.<|im_end|>\n<|im_start|>assistant\n"
WEATHER = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "maxLength": 9, "description": "Its name. " * 9},
        "unit": {"enum": ["celsius", "fahrenheit"]},
        "days": {"type": "integer", "minimum": 1, "maximum": 14},
        "hours": {"type": "array", "items": {"type": "integer"}, "maxItems": 24},
        "where": {"anyOf": [{"type": "string", "maxLength": 9}, {"type": "null"}]},
    },
    "required": ["city", "days"],
}


def shape(*parts: object) -> Grammar:
    return Grammar("shape", json.dumps({"sequence": parts}), triggers=("<tool_call>",))


def tool(name: str, schema: object) -> dict:
    head = {"text": f'{{"name": "{name}", "arguments": '}
    return {"sequence": [head, {"json": schema, "label": f"tool '{name}'"}, {"text": "}"}]}


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        (
            {"type": "object", "properties": {"a": {"not": {}}}},
            "invalid tool 'look': the keyword 'not' is not supported (at /properties/a/not)",
        ),
        (
            {"type": "object", "properties": {"a": {"type": "string", "pattern": "(?=a)b"}}},
            "invalid tool 'look': the regex cannot be used: look-around, including look-ahead and "
            "look-behind, is not supported (at /properties/a/pattern)",
        ),
        (
            {"type": "object", "properties": {"a": {"$ref": "#/$defs/gone"}}},
            "invalid tool 'look': '#/$defs/gone' points to nothing (at /properties/a/$ref)",
        ),
        ("text", "invalid tool 'look': the schema is not an object"),
        ({"type": "objekt"}, "invalid tool 'look'"),
    ],
    ids=["keyword", "pattern", "reference", "no schema", "type"],
)
def test_a_broken_schema_is_refused_with_its_tool_and_its_place(compiler, schema, said):
    tools = {"choice": [tool("fine", WEATHER), tool("look", schema), tool("good", WEATHER)]}

    with pytest.raises(GrammarRefused) as refused:
        compiler.compile(shape(tools))

    assert str(refused.value).startswith(said)


@pytest.mark.parametrize(
    "part",
    [{}, {"choice": []}, {"until": ""}, {"txt": "a"}, {"repeat": {"text": "a"}}, {"text": 3}, 7],
    ids=str,
)
def test_what_is_no_shape_is_refused(compiler, part):
    with pytest.raises(GrammarRefused, match="invalid tools: no shape is written"):
        compiler.compile(shape({"text": "a"}, part))


def test_a_shape_that_is_no_json_is_refused(compiler):
    with pytest.raises(GrammarRefused, match="invalid tools: the shape of calls is not JSON"):
        compiler.compile(Grammar("shape", "{"))


async def test_a_refused_tool_harms_nobody(worker, ask):
    broken = shape(tool("look", {"type": "array", "contains": {}}))

    with pytest.raises(GrammarRefused, match="tool 'look'") as refused:
        await ask(worker, PROMPT, grammar=broken)

    assert refused.value.place == "/contains"
    assert (await ask(worker, PROMPT))[1].eval_count == 24


async def test_two_hundred_tools_are_one_grammar(worker, ask):
    tools = [tool(f"weather_of_{n}", WEATHER) for n in range(200)]
    grammar = Grammar(
        "shape",
        json.dumps({"sequence": [{"choice": tools}, {"text": "\n"}, {"tag": "</tool_call>"}]}),
        triggers=("<tool_call>",),
        required=True,
    )

    text, _ = await ask(worker, PROMPT, grammar=grammar, num_predict=400, stop=("</tool_call>",))

    called = json.loads(text.removeprefix("<tool_call>"))
    assert called["name"] in {f"weather_of_{n}" for n in range(200)}


def test_schemas_that_take_too_long_together_are_refused(compiler, monkeypatch):
    monkeypatch.setattr(compiling, "MAX_SHAPE_S", 0)
    tools = {"choice": [tool("first", WEATHER), tool("second", WEATHER)]}

    with pytest.raises(GrammarRefused, match="invalid tool 'first': the schemas up to here"):
        compiler.compile(shape(tools))


def test_a_shape_is_compiled_once(demo_model):
    grammars, told = Grammars(demo_model), queue.SimpleQueue()
    grammars.begin()
    grammars.compile(shape(tool("look", WEATHER)), told.put)
    first = told.get(timeout=60)

    grammars.compile(shape(tool("look", WEATHER)), told.put)

    assert told.get_nowait() is first
