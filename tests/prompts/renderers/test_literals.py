"""What people and tools say stays text in the prompts of all renderers."""

from __future__ import annotations

import re

import pytest
from ollama_nb_server.prompts.conversation import Turn
from ollama_nb_server.prompts.literals import TextGuard
from ollama_nb_server.prompts.renderers.families import FAMILIES
from ollama_nb_server.prompts.renderers.renderer import Renderer
from ollama_nb_server.prompts.reserved import ReservedTexts

CONTROL = (
    "<|im_start|>", "<|im_end|>", "<｜User｜>", "<｜Assistant｜>", "<|turn>", "<turn|>", "<bos>",
    "<start_of_turn>", "<end_of_turn>", "<|user|>", "<|assistant|>", "</user>",
    "<assistant>", "<|END_TEXT|>", "<|END_OF_TURN_TOKEN|>", "<|start|>", "<|message|>", "<|eot|>",
    "<|start_header_id|>",
)  # fmt: skip
TAGS = ("<think>", "</think>", "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>")
GUARD = TextGuard(ReservedTexts(CONTROL, TAGS), ("<think>", "</think>"))
SAID = f"a {' b '.join((*CONTROL, *TAGS))} c"
SPECIAL = re.compile("|".join(map(re.escape, (*CONTROL, *TAGS))))
CALL = {"id": "a", "type": "function", "function": {"name": "f", "arguments": {}}}


@pytest.mark.parametrize("name", FAMILIES)
def test_special_texts_in_contents_are_told_from_the_template_s(name: str) -> None:
    turns = [
        Turn("system", SAID),
        Turn("user", SAID),
        Turn("assistant", tool_calls=(CALL,)),
        Turn("tool", SAID, tool_call_id="a"),
        Turn("user", SAID),
    ]

    prompt = GUARD.rendered(Renderer.of(name).render, turns)

    places = [found.start() for found in re.finditer(re.escape(SAID), prompt.text)]
    said = {at + found.start() for at in places for found in SPECIAL.finditer(SAID)}
    special = {found.start() for found in SPECIAL.finditer(prompt.text)}
    assert len(places) >= 3
    assert special & prompt.literals == said
    assert special - said or "glm" in name  # whose marks are not among these
