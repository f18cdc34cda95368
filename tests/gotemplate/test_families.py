"""The families' templates over whole conversations, against what Go wrote (recorded with them)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ollama_nb_server.gotemplate import Struct, parse
from ollama_nb_server.library.families.family import FAMILIES

RECORDED = Path(__file__).resolve().parents[1] / "library" / "families" / "golden.json"
GOLDEN = json.loads(RECORDED.read_text("utf-8"))


def collated(messages: list[dict[str, str]]) -> dict[str, Any]:
    """The data that Ollama gives: neighbours of one role merged, but for tools."""
    merged: list[dict[str, str]] = []
    for message in messages:
        if merged and merged[-1]["role"] == message["role"] != "tool":
            merged[-1] = merged[-1] | {
                "content": f"{merged[-1]['content']}\n\n{message['content']}"
            }
        else:
            merged.append(message)
    return {
        "System": "\n\n".join(each["content"] for each in messages if each["role"] == "system"),
        "Messages": [
            Struct("api.Message", {"Role": each["role"], "Content": each["content"]})
            for each in merged
        ],
        "Response": "",
    }


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.key)
def test_a_familys_template_writes_what_go_writes(family: Any) -> None:
    template = parse(family.template)

    texts = {
        name: template.execute(collated(messages))
        for name, messages in GOLDEN["conversations"].items()
    }

    assert texts == GOLDEN["families"][family.key]["renderings"]
