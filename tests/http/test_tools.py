"""Tool calls over HTTP: as Ollama reads them without `tool_choice`, and bound by it with it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema
import pytest

CITY = {"type": "string", "maxLength": 12}
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "The weather in a city",
            "parameters": {
                "type": "object",
                "properties": {
                    "city": CITY,
                    "days": {"type": "integer", "minimum": 1, "maximum": 9},
                },
                "required": ["city", "days"],
                "additionalProperties": False,
            },
        },
    },
    {
        "type": "function",
        "function": {
            "name": "stop",
            "parameters": {"type": "object", "properties": {}, "additionalProperties": False},
        },
    },
]
SCHEMAS = {tool["function"]["name"]: tool["function"]["parameters"] for tool in TOOLS}
TEMPLATE = (
    "{{ range .Messages }}<|im_start|>{{ .Role }}\n"
    "{{ if .Thinking }}<think>{{ .Thinking }}</think>{{ end }}{{ .Content }}"
    '{{ if .ToolCalls }}{{ range .ToolCalls }}<tool_call>\n{"name": "{{ .Function.Name }}", '
    '"arguments": {{ .Function.Arguments }}}\n</tool_call>{{ end }}{{ end }}<|im_end|>\n{{ end }}'
    "{{ if .Tools }}{{ .Tools }}{{ end }}<|im_start|>assistant\n"
)
ASKED = {"role": "user", "content": "How is the weather in Oslo?"}
OSLO = (
    '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Oslo", "days": 2}}\n</tool_call>'
)
UNKNOWN = '<tool_call>\n{"name": "fly", "arguments": {"to": "Oslo"}}\n</tool_call>'
CALLED = {"city": "Oslo", "days": 2}


@pytest.fixture(scope="module")
def model(ollama_server: Any) -> Iterator[str]:
    """The bundled model with a template that knows tools and thoughts."""
    with ollama_server.client() as client:
        made = {"model": "caller", "from": "demo", "template": TEMPLATE, "stream": False}
        client.post("/api/create", json=made).raise_for_status()
        yield "caller"
        client.request("DELETE", "/api/delete", json={"model": "caller"}).raise_for_status()


def forced(text: str) -> dict[str, Any]:
    """Options with which a model says this and nothing else."""
    quoted = json.dumps(text, ensure_ascii=False)
    return {"grammar": f"root ::= {quoted}", "num_predict": 400, "temperature": 0}


def body(model: str, **fields: Any) -> dict[str, Any]:
    return {
        "model": model,
        "messages": [ASKED],
        "tools": TOOLS,
        "stream": False,
        "think": False,
    } | fields


def functions(message: dict[str, Any]) -> list[dict[str, Any]]:
    return [call["function"] for call in message.get("tool_calls", [])]


# --- as Ollama ------------------------------------------------------------------------------------


def test_calls_come_in_chunks_of_their_own(client: httpx.Client, model: str) -> None:
    asked = body(model, options=forced(f"Look: {OSLO}\n{OSLO}"), stream=True)
    lines = [json.loads(line) for line in client.post("/api/chat", json=asked).iter_lines()]

    calls = [line for line in lines if line["message"].get("tool_calls")]
    assert "".join(line["message"]["content"] for line in lines) == "Look: "
    assert [function for line in calls for function in functions(line["message"])] == [
        {"index": n, "name": "get_weather", "arguments": CALLED} for n in (0, 1)
    ]
    assert not any(line["done"] or line["message"]["content"] for line in calls)
    ids = [call["id"] for line in calls for call in line["message"]["tool_calls"]]
    assert all(one.startswith("call_") and len(one) == 13 for one in ids)
    assert len(set(ids)) == 2
    assert lines[-1]["done_reason"] == "stop"
    assert lines[-1]["eval_count"] > 0


def test_a_whole_answer_has_them_all(client: httpx.Client, model: str) -> None:
    asked = body(model, options=forced(f"{OSLO}\n{OSLO}"))
    message = client.post("/api/chat", json=asked).json()["message"]

    assert [f["index"] for f in functions(message)] == [0, 1]


def test_a_call_of_an_unknown_tool_is_lost_with_a_warning(client: httpx.Client, model: str) -> None:
    answer = client.post("/api/chat", json=body(model, options=forced(f"So: {UNKNOWN}")))

    assert answer.json()["message"] == {"role": "assistant", "content": "So: "}
    assert "no whole call of an offered tool" in answer.headers["X-Ollama-Nb-Warnings"]


def test_without_tools_a_call_is_text(client: httpx.Client, model: str) -> None:
    asked = body(model, options=forced(OSLO), tools=[])

    assert client.post("/api/chat", json=asked).json()["message"]["content"] == OSLO


def test_generate_knows_no_tools(client: httpx.Client, model: str) -> None:
    asked = {
        "model": model,
        "prompt": "Hi",
        "options": forced(OSLO),
        "stream": False,
        "tools": TOOLS,
    }

    assert client.post("/api/generate", json=asked).json()["response"] == OSLO


# --- with tool_choice -----------------------------------------------------------------------------


@pytest.mark.parametrize("choice", ["required", {"function": {"name": "get_weather"}}])
@pytest.mark.parametrize("seed", range(4))
def test_a_required_call_is_whole_and_valid(
    client: httpx.Client, model: str, choice: Any, seed: int
) -> None:
    options = {"temperature": 1.3, "seed": seed, "num_predict": 120}
    answer = client.post("/api/chat", json=body(model, tool_choice=choice, options=options)).json()

    (first, *_) = functions(answer["message"])
    jsonschema.validate(first["arguments"], SCHEMAS[first["name"]])
    assert choice == "required" or first["name"] == "get_weather"


def test_a_stream_of_it_ends_with_its_figures(client: httpx.Client, model: str) -> None:
    options = {"temperature": 0, "num_predict": 120}
    asked = body(model, tool_choice="required", options=options, stream=True)
    lines = [json.loads(line) for line in client.post("/api/chat", json=asked).iter_lines()]

    assert any(functions(line["message"]) for line in lines)
    assert lines[-1]["done"]
    assert lines[-1]["eval_count"] > 0


def test_half_a_call_comes_back_as_text(client: httpx.Client, model: str) -> None:
    options = {"temperature": 0, "num_predict": 30}
    choice = {"function": {"name": "get_weather"}}
    asked = body(model, tool_choice=choice, options=options)
    answer = client.post("/api/chat", json=asked).json()

    assert answer["done_reason"] == "length"
    assert not functions(answer["message"])
    assert answer["message"]["content"].startswith('<tool_call>\n{"name"')


def test_none_calls_nothing(client: httpx.Client, model: str) -> None:
    asked = body(model, tool_choice="none", options=forced(OSLO))

    message = client.post("/api/chat", json=asked).json()["message"]
    assert message == {"role": "assistant", "content": OSLO}


def test_what_is_thought_before_a_required_call_is_free(client: httpx.Client, model: str) -> None:
    options = {"temperature": 1, "seed": 1, "num_predict": 200}
    asked = body(model, tool_choice="required", options=options, think=True, think_budget=8)
    message = client.post("/api/chat", json=asked).json()["message"]

    (first, *_) = functions(message)
    jsonschema.validate(first["arguments"], SCHEMAS[first["name"]])


# --- bad input ------------------------------------------------------------------------------------

BROKEN = {"type": "function", "function": {"name": "odd", "parameters": {"type": "object", "properties": {"a": {"type": "nothing"}}}}}  # fmt: skip
REFUSED = {
    "a word": ({"tool_choice": "always"}, "tool_choice must be"),
    "a number": ({"tool_choice": 3}, "tool_choice must be"),
    "no name": ({"tool_choice": {"function": {}}}, "tool_choice must be"),
    "no such tool": ({"tool_choice": {"function": {"name": "fly"}}}, "get_weather, stop"),
    "no tools": ({"tool_choice": "required", "tools": []}, "send the tools"),
    "format too": ({"tool_choice": "auto", "format": "json"}, "give one of them"),
    "grammar too": ({"tool_choice": "required", "options": forced("x")}, "give one of them"),
    "a broken schema": ({"tool_choice": "auto", "tools": [*TOOLS, BROKEN]}, "'odd'"),
    "a nameless tool": (
        {"tool_choice": "auto", "tools": [{"type": "function", "function": {}}]},
        "a name",
    ),
    "a budget of words": ({"think": True, "think_budget": "much"}, "think_budget must be"),
    "a budget below 0": ({"think": True, "think_budget": -1}, "think_budget must be"),
    "a budget for nothing": ({"think": False, "think_budget": 5}, "think_budget"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused_in_one_sentence(
    client: httpx.Client, model: str, case: str
) -> None:
    fields, said = REFUSED[case]
    answer = client.post("/api/chat", json=body(model, **fields))

    assert answer.status_code == 400
    assert said in answer.json()["error"]
    assert "\n" not in answer.json()["error"]


def test_a_broken_schema_harms_nobody_who_does_not_bind_calls(
    client: httpx.Client, model: str
) -> None:
    asked = body(model, tools=[*TOOLS, BROKEN], options=forced("Well."))

    assert client.post("/api/chat", json=asked).json()["message"]["content"] == "Well."


def test_two_hundred_tools_can_be_offered(client: httpx.Client, model: str) -> None:
    many = [
        {
            "type": "function",
            "function": {"name": f"tool_{n}", "parameters": SCHEMAS["get_weather"]},
        }
        for n in range(200)
    ]
    options = {"num_predict": 80, "temperature": 0, "num_ctx": 16384}
    choice = {"function": {"name": "tool_150"}}
    asked = body(model, tools=many, tool_choice=choice, options=options)
    answer = client.post("/api/chat", json=asked).json()

    assert functions(answer["message"])[0]["name"] == "tool_150"
