"""Which text a conversation becomes for a model: its own Jinja template, or a default.

Chat without any template gets ChatML, as llama.cpp does; generate gets the bare prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ollama_nb_server.prompts import jinja
from ollama_nb_server.prompts.conversation import Turn, plain

CHATML = (
    "{%- for message in messages -%}"
    "{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}"
)


@dataclass(frozen=True, slots=True)
class ChatTemplate:
    """A model's way to write a conversation down.

    `source` None means that the GGUF has no template. `bos` and `eos` are the texts of these
    tokens, which templates print; the engine sees to it that BOS is not doubled.
    """

    source: str | None
    bos: str = ""
    eos: str = ""

    def render(
        self,
        turns: Sequence[Turn],
        *,
        tools: Sequence[dict[str, Any]] = (),
        think: bool | str | None = None,
    ) -> str:
        """The prompt for a chat, ready for the assistant's words.

        A last turn of the assistant is gone on with: it ends the prompt as it stands.
        """
        turns, begun = _split_begun(turns)
        variables: dict[str, Any] = {
            "messages": [turn.variables() for turn in turns],
            "tools": list(tools) or None,
            "documents": None,
            "add_generation_prompt": True,
            "bos_token": self.bos,
            "eos_token": self.eos,
            **_thinking(think),
        }
        return jinja.render(self.source or CHATML, variables) + begun

    def render_generate(self, turns: Sequence[Turn], *, think: bool | str | None = None) -> str:
        """The prompt of a generate request: as for a chat, bare where there is no template."""
        return plain(turns) if self.source is None else self.render(turns, think=think)


def _split_begun(turns: Sequence[Turn]) -> tuple[Sequence[Turn], str]:
    if turns and turns[-1].role == "assistant" and not turns[-1].tool_calls:
        return turns[:-1], turns[-1].content
    return turns, ""


def _thinking(think: bool | str | None) -> dict[str, Any]:
    """`enable_thinking` and `reasoning_effort` (reference/ollama-http-api.md 4.5)."""
    if think is None:
        return {}
    if isinstance(think, str):
        return {"enable_thinking": True, "reasoning_effort": think}
    return {"enable_thinking": think}
