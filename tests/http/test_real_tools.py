"""Tools on a published model: calls that cannot be malformed, and a conversation that uses them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest

TABLE = json.loads((Path(__file__).parents[2] / "benchmarks" / "tool_questions.json").read_text())
TOOLS = TABLE["tools"]
SCHEMAS = {tool["function"]["name"]: tool["function"]["parameters"] for tool in TOOLS}
OPTIONS = {"temperature": 0, "num_predict": 120, "num_ctx": 2048, "num_thread": 1}

MEASURED = {
    "type": "function",
    "function": {
        "name": "measure",
        "description": "Measure the length of a thing, in centimetres",
        "parameters": {
            "type": "object",
            "properties": {"thing": {"enum": ["table", "door", "lamp"]}},
            "required": ["thing"],
            "additionalProperties": False,
        },
    },
}
LENGTHS = {"table": 121, "door": 203, "lamp": 47}


@pytest.fixture(scope="module")
def model(ollama_server: Any, qwen_coder: Path) -> Iterator[str]:
    data = qwen_coder.read_bytes()
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    with ollama_server.client() as client:
        client.post(f"/api/blobs/{digest}", content=data).raise_for_status()
        made = {"model": "qwen", "files": {"model.gguf": digest}, "stream": False}
        client.post("/api/create", json=made).raise_for_status()
        yield "qwen"
        client.request("DELETE", "/api/delete", json={"model": "qwen"}).raise_for_status()


def chat(client: httpx.Client, model: str, messages: list[Any], **fields: Any) -> dict[str, Any]:
    body = {"model": model, "messages": messages, "stream": False, "options": OPTIONS} | fields
    answer = client.post("/api/chat", json=body)
    answer.raise_for_status()
    return dict(answer.json())


@pytest.mark.parametrize("question", [question for question, _ in TABLE["questions"][:8]])
def test_every_call_is_whole_and_valid(client: httpx.Client, model: str, question: str) -> None:
    asked = [{"role": "user", "content": question}]
    answer = chat(client, model, asked, tools=TOOLS, tool_choice="required")

    for call in (call["function"] for call in answer["message"]["tool_calls"]):
        jsonschema.validate(call["arguments"], SCHEMAS[call["name"]])
    assert answer["done_reason"] == "stop"


def test_three_rounds_of_a_tool_loop(client: httpx.Client, model: str) -> None:
    messages: list[Any] = []
    for thing, length in LENGTHS.items():
        messages.append({"role": "user", "content": f"Measure the {thing} with the tool measure."})
        called = chat(client, model, messages, tools=[MEASURED], tool_choice="auto")["message"]
        (call,) = called["tool_calls"]
        assert call["function"]["arguments"] == {"thing": thing}
        result = {"role": "tool", "tool_name": "measure", "tool_call_id": call["id"]}
        messages += [called, {**result, "content": f"{length} cm"}]
        messages.append({"role": "user", "content": "How long is it?"})
        told = chat(client, model, messages, tools=[MEASURED], tool_choice="none")["message"]
        assert str(length) in told["content"]
        messages.append(told)
