"""gpt-oss: who is read by its parser, and names of tools that it cannot write."""

from __future__ import annotations

from typing import Any

import pytest
from ollama_nb_server.library.capabilities import is_harmony
from ollama_nb_server.library.manifest import Config

TEMPLATE = (
    "{{ range .Tools }}{{ .Function.Name }} {{ end }}{{ range .Messages }}{{ .Content }}{{ end }}"
)


def test_a_prompt_has_names_that_gpt_oss_can_write(ollama_server: Any) -> None:
    made = {"model": "osslike", "from": "demo", "template": TEMPLATE, "parser": "harmony"}
    tools = [{"type": "function", "function": {"name": one}} for one in ("get.time", "get-time")]
    asked = {"messages": [{"role": "user", "content": "Hi"}], "_debug_render_only": True}
    with ollama_server.client() as client:
        client.post("/api/create", json=made | {"stream": False}).raise_for_status()
        answer = client.post("/api/chat", json={"model": "osslike", "tools": tools, **asked})

    prompt = answer.json()["_debug_info"]["rendered_template"]
    assert prompt == "get_time get_time_2 Hi"


@pytest.mark.parametrize(
    ("family", "template", "is_read"),
    [
        ("gptoss", "<|start|>{{ .Prompt }}<|end|>", True),
        ("gpt-oss", "<|start|><|end|>", True),
        ("gptoss", "<|start|>", False),
        ("gptoss", None, False),
        ("llama", "<|start|><|end|>", False),
    ],
)
def test_gpt_oss_needs_to_name_no_parser(family: str, template: str | None, is_read: bool) -> None:
    assert is_harmony(Config(model_family=family), template) is is_read
