"""What calls of each family look like is a grammar that the engine knows."""

from __future__ import annotations

import json

import pytest
from ollama_nb_server.engine.messages import Grammar
from ollama_nb_server.prompts.parsing.formats import FORMATS
from ollama_nb_server.prompts.parsing.parts import Tool

TOOLS = (
    Tool(
        "get_weather",
        {
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "days": {"type": "integer", "minimum": 1},
                "unit": {"enum": ["celsius", "fahrenheit"]},
                "note": {"type": "string", "maxLength": 9},
                "place": {"$ref": "#/$defs/place"},
            },
            "required": ["city"],
            "$defs": {"place": {"type": "object", "properties": {"x": {"type": "number"}}}},
        },
    ),
    Tool("get_time", {"type": "object", "properties": {"zone": {"type": "string"}}}),
    Tool("stop", {"type": "object", "properties": {}}),
)
BOUND = [name for name, form in FORMATS.items() if form.calls is not None]


@pytest.mark.parametrize("name", BOUND)
def test_the_calls_of_a_family_compile(compiler, name):
    calls = FORMATS[name].calls
    assert calls is not None
    document = json.dumps(calls.shape(TOOLS).document())

    assert compiler.compile(Grammar("shape", document, triggers=(calls.opens,)))
