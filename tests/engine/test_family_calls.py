"""Every family's calls, bound by the engine: whatever the bundled model writes is a valid call.

The families are those that are told by their Jinja template: `prompts.parsing.native_families`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from ollama_nb_server.engine.messages import Grammar, SamplingParams
from ollama_nb_server.prompts.parsing.native import native_format
from ollama_nb_server.prompts.parsing.native_families import ANY_OTHER, FAMILIES, Family
from ollama_nb_server.prompts.parsing.parts import Situation, Tool
from serving import Serving

PROMPT = "<|im_start|>user\nTell me a story about a robot.<|im_end|>\n<|im_start|>assistant\n"
TOOLS = (
    Tool(
        "look",
        {
            "type": "object",
            "properties": {
                "at": {"type": "string", "enum": ["sky", "sea"]},
                "times": {"type": "integer", "minimum": 1, "maximum": 9},
                "sizes": {"type": "array", "items": {"type": "boolean"}, "maxItems": 2},
                "code": {"type": "string", "pattern": "^[a-f]{2}$"},
            },
            "required": ["at", "times", "code"],
        },
    ),
    Tool("stop", {"type": "object", "properties": {}, "additionalProperties": False}),
)
SCHEMAS = {tool.name: tool.parameters for tool in TOOLS}
ALL = [family for family in (*FAMILIES, ANY_OTHER) if not family.built_in]


@pytest.fixture(scope="module")
def serving(demo_gguf: Path) -> Iterator[Serving]:
    serving = Serving(demo_gguf, num_ctx=1536, num_parallel=1)
    yield serving
    serving.close()


@pytest.mark.parametrize("family", ALL, ids=[one.name for one in ALL])
def test_a_required_call_is_one_of_the_tools(serving: Serving, family: Family) -> None:
    template = " ".join((*family.signs, *(family.thoughts or ())))
    form = native_format(template, family.thoughts[1] if family.thoughts else "")
    assert form.calls is not None
    shape = json.dumps(form.calls.shape(TOOLS).document())
    grammar = Grammar("shape", shape, triggers=(form.calls.opens,), required=True)
    hot = SamplingParams(seed=3, temperature=1.5)
    text = serving.answer(PROMPT, sampling=hot, grammar=grammar, num_predict=1200).text
    parser = form.parser(Situation(TOOLS))
    calls = (parser.feed(text) + parser.end()).calls

    assert calls, text
    for call in calls:
        Draft202012Validator(SCHEMAS[call.name]).validate(call.arguments)
