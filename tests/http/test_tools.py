"""Tool calls over HTTP: as Ollama reads them without `tool_choice`, and bound by it with it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
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
