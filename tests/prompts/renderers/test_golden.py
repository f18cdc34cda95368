"""Every renderer on every conversation, against what Ollama's own makes of it.

The conversations are in tools/renderer_cases.py, the texts are recorded by tools/record_renderers.py.
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from ollama_nb_server.prompts.conversation import Turn
from ollama_nb_server.prompts.errors import ConversationRefused
from ollama_nb_server.prompts.renderers.families import FAMILIES
from ollama_nb_server.prompts.renderers.renderer import Renderer, leading_bos
from ollama_nb_server.wire.chat import ChatRequest, Message

from tools.renderer_cases import CASES, Case

GOLDEN: dict[str, Any] = json.loads(Path(__file__).with_name("golden.json").read_text("utf-8"))


def turn(given: dict[str, Any]) -> Turn:
    said = Message.model_validate({**given, "images": None})
    return Turn(
        said.role,
        said.content,
        tuple(call.for_template() for call in said.tool_calls or ()),
        said.tool_name or "",
        said.tool_call_id or "",
        said.thinking or "",
        (b"",) * given.get("images", 0),
    )


def rendered(name: str, case: Case) -> str | dict[str, str]:
    request = ChatRequest.model_validate({"tools": case.get("tools"), "think": case.get("think")})
    tools = [tool.for_template() for tool in request.tools or ()]
    renderer = Renderer.of(name, clock=lambda: datetime(2001, 2, 3))
    try:
        return renderer.render(
            [turn(message) for message in case["messages"]], tools=tools, think=request.think
        )
    except ConversationRefused as refusal:
        return {"error": str(refusal)}


def test_every_renderer_of_ollama_s_is_here() -> None:
    assert set(FAMILIES) == set(GOLDEN)
    assert {name: leading_bos(name) for name in FAMILIES} == {
        name: recorded["bos"] for name, recorded in GOLDEN.items()
    }


@pytest.mark.parametrize("name", FAMILIES)
def test_conversations_are_written_as_ollama_writes_them(name: str) -> None:
    texts = {case: rendered(name, CASES[case]) for case in CASES}

    assert texts == GOLDEN[name]["renderings"]
