"""Calls and thoughts of models whose own Jinja template writes their prompts, over HTTP."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from templated import write_with_template

TURNS = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
TEMPLATES = {
    # Mistral Nemo's signs: a list of calls, each with an id
    "lister": TURNS
    + "{{ tools | tojson if tools else '' }}{# [TOOL_CALLS][ #}<|im_start|>assistant\n",
    # MiniMax M2's: the prompt ends with an opened thought
    "thinker": TURNS + "{{ tools | tojson if tools else '' }}{# <minimax:tool_call> </think> #}"
    "<|im_start|>assistant\n<think>\n",
}
TOOL = {
    "type": "function",
    "function": {
        "name": "look",
        "parameters": {
            "type": "object",
            "properties": {"at": {"type": "string"}, "n": {"type": "integer"}},
        },
    },
}


@pytest.fixture(scope="module")
def models(
    ollama_server: Any, demo_gguf: Path, eventually: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """The bundled model with these templates; other tests count the workers, so none of them stays."""
    folder = tmp_path_factory.mktemp("native")
    with ollama_server.client() as client:
        for name, template in TEMPLATES.items():
            file = write_with_template(demo_gguf, folder / f"{name}.gguf", template)
            digest = f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}"
            client.post(f"/api/blobs/{digest}", content=file.read_bytes()).raise_for_status()
            made = {"model": name, "files": {file.name: digest}, "stream": False}
            client.post("/api/create", json=made).raise_for_status()
        yield
        for name in TEMPLATES:
            client.post("/api/generate", json={"model": name, "keep_alive": 0}).raise_for_status()
        eventually(lambda: not loaded(client) & set(TEMPLATES), "none of them is loaded")


def loaded(client: httpx.Client) -> set[str]:
    models = client.get("/api/ps").json()["models"]
    return {model["name"].removesuffix(":latest") for model in models}


def lines(client: httpx.Client, model: str, text: str, **fields: Any) -> list[dict[str, Any]]:
    """The stream of an answer that says this and nothing else."""
    grammar = f"root ::= {json.dumps(text, ensure_ascii=False)}"
    asked = {
        "model": model,
        "messages": [{"role": "user", "content": "Where?"}],
        "tools": [TOOL],
        "options": {"grammar": grammar, "num_predict": 300, "temperature": 0},
    } | fields
    answer = client.post("/api/chat", json=asked).raise_for_status()
    return [json.loads(line) for line in answer.iter_lines()]


def joined(found: list[dict[str, Any]], key: str) -> str:
    return "".join(line["message"].get(key, "") for line in found)


@pytest.mark.usefixtures("models")
def test_calls_come_with_the_last_message_and_keep_the_models_ids(client: httpx.Client) -> None:
    call = '{"name": "look", "arguments": {"at": "]", "n": 2}, "id": "a1B2c3D4e"}'
    found = lines(client, "lister", f"So: [TOOL_CALLS][{call}, {call}]")

    assert joined(found, "content") == "So: "
    assert not any("tool_calls" in line["message"] for line in found[:-1])
    calls = found[-1]["message"]["tool_calls"]
    assert [call["id"] for call in calls] == ["a1B2c3D4e"] * 2
    assert [call["function"] for call in calls] == [
        {"index": n, "name": "look", "arguments": {"at": "]", "n": 2}} for n in (0, 1)
    ]


@pytest.mark.usefixtures("models")
def test_a_thought_that_the_prompt_began_ends_before_the_call(client: httpx.Client) -> None:
    call = (
        '<minimax:tool_call>\n<invoke name="look">\n<parameter name="at">the sea</parameter>\n'
        '<parameter name="n">2</parameter>\n</invoke>\n</minimax:tool_call>'
    )
    found = lines(client, "thinker", call)  # a grammar holds behind the thought

    assert joined(found, "thinking")
    assert joined(found, "content") == ""
    (called,) = found[-1]["message"]["tool_calls"]
    assert called["function"]["arguments"] == {"at": "the sea", "n": 2}
    assert len(called["id"]) == 32


@pytest.mark.usefixtures("models")
def test_what_is_no_whole_call_is_text(client: httpx.Client) -> None:
    text = '[TOOL_CALLS][{"name": "look", "arguments": {"at": "half'

    assert joined(lines(client, "lister", text), "content") == text
    assert joined(lines(client, "lister", text + '"}}]', tools=[]), "content") == text + '"}}]'
