"""Conversations of every shape are answered, whatever kind of template writes them down."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from templated import write_with_template

# As Qwen's and half of the published ones begin.
FIRST_MESSAGE = (
    "{%- if messages[0]['role'] == 'system' %}{{- messages[0]['content'] + '\\n' }}{%- endif %}"
    "{%- for m in messages %}{{- '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}"
    "{%- endfor %}{{- '<|im_start|>assistant\\n' }}"
)
GO = {
    "go-messages": "{{ range .Messages }}<{{ .Role }}>{{ .Content }}{{ end }}",
    "go-old": "{{ if .System }}<<{{ .System }}>> {{ end }}[{{ .Prompt }}] {{ .Response }}",
    "go-bare": "{{ .Prompt }}",
}
KINDS = ("jinja", "default", *GO)
CALL = {"function": {"name": "f", "arguments": {"a": 1}}}


def said(role: str, content: str | None = "", **more: object) -> dict[str, Any]:
    return {"role": role, "content": content, **more}


SHAPES = {
    "assistant": [said("assistant", "Once")],
    "empty assistant": [said("assistant")],
    "system": [said("system", "Be brief.")],
    "system and assistant": [said("system", "Be brief."), said("assistant", "Once")],
    "tool": [said("tool", "7", tool_name="f")],
    "call": [said("assistant", tool_calls=[CALL])],
    "call and tool": [said("assistant", tool_calls=[CALL]), said("tool", "7", tool_name="f")],
    "empty user": [said("user")],
    "null": [said("user", None)],
    "nothing": [{}],
    "two users": [said("user", "Hi"), said("user", "there")],
    "answers first": [said("assistant", "A"), said("assistant", "B"), said("user", "Hi")],
    "thoughts": [said("assistant", thinking="Hm.")],
}


@pytest.fixture(scope="module")
def kinds(
    ollama_server, demo_gguf: Path, eventually, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, ...]]:
    """A model for each kind of template; other tests count the workers, so none of them stays."""
    folder = tmp_path_factory.mktemp("templates")
    with ollama_server.client() as client:
        for name, template in (("jinja", FIRST_MESSAGE), ("default", None)):
            file = write_with_template(demo_gguf, folder / f"{name}.gguf", template)
            create(client, name, files={file.name: upload(client, file)})
        for name, template in GO.items():
            create(client, name, **{"from": "demo", "template": template})
        yield KINDS
        for name in KINDS:
            client.post("/api/generate", json={"model": name, "keep_alive": 0}).raise_for_status()
        eventually(lambda: not loaded(client) & set(KINDS), "none of them is loaded")


def upload(client: httpx.Client, file: Path) -> str:
    digest = f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}"
    client.post(f"/api/blobs/{digest}", content=file.read_bytes()).raise_for_status()
    return digest


def loaded(client: httpx.Client) -> set[str]:
    models = client.get("/api/ps").json()["models"]
    return {model["name"].removesuffix(":latest") for model in models}


def create(client: httpx.Client, name: str, **facts: object) -> None:
    body = {"model": name, "stream": False} | facts
    client.post("/api/create", json=body).raise_for_status()


def chat(client: httpx.Client, model: str, messages: list[dict[str, Any]]) -> httpx.Response:
    options = {"temperature": 0, "num_predict": 2}
    body = {"model": model, "messages": messages, "stream": False, "options": options}
    return client.post("/api/chat", json=body)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_conversation_of_any_shape_is_answered(client, kinds, shape: str, kind: str) -> None:
    assert kind in kinds
    answer = chat(client, kind, SHAPES[shape])

    assert answer.status_code == 200, answer.text
    assert answer.json()["done"] is True
    assert answer.json()["prompt_eval_count"] > 0


@pytest.mark.parametrize("kind", KINDS)
def test_only_one_answer_is_gone_on_with(client, kinds, kind: str) -> None:
    assert kind in kinds
    answer = chat(client, kind, [said("assistant", "A"), said("assistant", "B")])

    if kind in GO:  # Ollama writes these down itself, and joins neighbours of one role
        assert answer.status_code == 200
    else:
        assert answer.status_code == 400
        assert "not with two" in answer.json()["error"]
