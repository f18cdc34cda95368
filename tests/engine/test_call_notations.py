"""Whatever a model writes: a bound call is read by its notation, and its arguments are valid."""

from __future__ import annotations

import json

import pytest
from jsonschema import Draft202012Validator
from ollama_nb_server.engine.messages import Finished, Grammar, SamplingParams
from ollama_nb_server.prompts.parsing.notations import JsonCall, TaggedCall
from ollama_nb_server.prompts.parsing.parts import Tool
from serving import Serving

PROMPT = "<|im_start|>user\nTell me a story about a robot.<|im_end|>\n<|im_start|>assistant\n"
TAGS = ("<tool_call>", "</tool_call>")
SEEDS = range(9)
NOTATIONS = {"json": JsonCall(*TAGS), "tagged": TaggedCall(*TAGS)}
TOOLS = [
    Tool(
        "get_weather",
        {
            "properties": {
                "city": {"enum": ["Rome", "Oslo", "a <b>"], "type": "string"},
                "days": {"type": "integer", "maximum": 14},
                "exact": {"type": ["number", "null"]},
            },
            "required": ["days", "city"],
        },
    ),
    Tool(
        "get_time",
        {
            "type": "object",
            "properties": {
                "zones": {
                    "type": "array",
                    "items": {"$ref": "#/$defs/zone"},
                    "maxItems": 2,
                    "minItems": 1,
                },
                "quick": {"type": "boolean"},
            },
            "required": ["zones"],
            "$defs": {"zone": {"type": "string", "pattern": "^[A-Z]{3}$"}},
        },
    ),
    Tool("<look>", {"type": "object", "properties": {"ratio": {"type": "number"}}}),
    Tool("stop"),
]


@pytest.fixture(scope="module", params=["demo_gguf", "tagged_gguf", "q4_k_gguf", "pieces_gguf"])
def serving(request):
    serving = Serving(request.getfixturevalue(request.param))
    yield serving
    serving.close()


@pytest.mark.parametrize("notation", NOTATIONS)
def test_a_bound_call_can_always_be_read(serving, notation):
    calls = NOTATIONS[notation]
    tools = TOOLS if notation == "json" else TOOLS[:2]  # a tag ends with the first ">"
    document = json.dumps(calls.shape(tools).document())
    grammar = Grammar("shape", document, triggers=(calls.opens,), required=True)

    asked = [
        serving.ask(
            PROMPT,
            grammar=grammar,
            tags=TAGS,
            stop=(calls.closes,),
            sampling=SamplingParams(seed=seed, temperature=1 + seed % 3 / 2, top_k=0, top_p=1.0),
            num_predict=150,
        )
        for seed in SEEDS
    ]
    serving.run()

    told = [serving.answers[request] for request in asked]
    assert [one.end for one in told if not isinstance(one.end, Finished)] == []
    names = {checked(calls, tools, one.text) for one in told if one.end.reason == "stop"}
    assert names


def checked(calls: JsonCall | TaggedCall, tools: list[Tool], text: str) -> str:
    """See that an answer is a call of one of the tools; its name."""
    assert text.startswith(calls.opens)
    (call,) = calls.read(text[len(calls.opens) :], tools)
    tool = next(tool for tool in tools if tool.name == call.name)
    Draft202012Validator({"type": "object", **tool.parameters}).validate(call.arguments)
    return call.name


async def test_texts_in_tags_are_read_as_they_are(qwen_coder):
    tool = Tool("say", {"properties": {"what": {"type": "string"}, "times": {"type": "integer"}}})
    calls = TaggedCall(*TAGS)
    document = json.dumps(calls.shape([tool]).document())
    serving = Serving(qwen_coder, num_ctx=256, num_parallel=1)
    turns = (
        "<|im_start|>user\nCall say: <tool_call><function=say><parameter=what>a text</parameter>"
        '</function></tool_call>. Say "Hi"!<|im_end|>\n<|im_start|>assistant\n<tool_call>'
    )

    begun = Grammar("shape", document, triggers=("",), required=True)
    told = serving.answer(turns, grammar=begun, stop=("</tool_call>",), num_predict=60)

    serving.close()
    (call,) = calls.read(told.text, [tool])
    assert "Hi" in call.arguments["what"]
