"""Which text a conversation becomes for a model: its own Jinja template, or a default.

Chat without any template gets ChatML, as llama.cpp does; generate gets the bare prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ollama_nb_server.prompts import jinja, native
from ollama_nb_server.prompts.conversation import Turn
from ollama_nb_server.prompts.errors import TwoAnswersBegun
from ollama_nb_server.prompts.go import DEFAULT, GoChatTemplate
from ollama_nb_server.prompts.traits import traits

CHATML = (
    "{%- for message in messages -%}"
    "{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}"
)
THINK, THOUGHT = "<think>", "</think>"


@dataclass(frozen=True, slots=True)
class ChatTemplate:
    """A model's way to write a conversation down.

    `source` None means that the GGUF has no template; `tool_source` is the other one that some
    GGUFs have for requests with tools. `bos` and `eos` are the texts of these tokens, which
    templates print; where the tokenizer `adds_bos`, it is taken off the prompt, as llama.cpp does.
    Templates may print the day, which is `clock`'s.
    """

    source: str | None
    bos: str = ""
    eos: str = ""
    tool_source: str | None = None
    adds_bos: bool = False
    clock: Callable[[], datetime] = field(default=datetime.now, compare=False)

    def render(
        self,
        turns: Sequence[Turn],
        *,
        tools: Sequence[dict[str, Any]] = (),
        think: bool | str | None = None,
    ) -> str:
        """The prompt for a chat, ready for the assistant's words.

        A last turn of the assistant is gone on with: it ends the prompt as it stands.

        Raises
        ------
        TwoAnswersBegun
            If the last two turns are the assistant's: llama.cpp goes on with one only.
        TemplateFailed
            If the template refuses the conversation, fails on it, or costs too much.
        """
        turns, begun = _split_begun(turns)
        text = self._rendered(turns, tools, think)
        if self.adds_bos and self.bos:
            text = text.removeprefix(self.bos)
        if begun and THINK in (self.source or ""):
            text = _past_thinking(text, lambda: self._rendered(turns, tools, False))
        return text + begun

    def render_generate(self, turns: Sequence[Turn], *, think: bool | str | None = None) -> str:
        """The prompt of a generate request: as for a chat, bare where there is no template."""
        if self.source is None:
            return GoChatTemplate.of(DEFAULT).render(turns, think=think)
        return self.render(turns, think=think)

    def _rendered(
        self, turns: Sequence[Turn], tools: Sequence[dict[str, Any]], think: bool | str | None
    ) -> str:
        source = (self.tool_source if tools else None) or self.source or CHATML
        variables = {
            "messages": native.messages(turns, source, traits(source)),
            "bos_token": self.bos,
            "eos_token": self.eos,
            **({"tools": native.tools(tools)} if tools else {}),
            **native.variables(self.clock(), think),
        }
        return jinja.render(source, variables, self.clock)


def _split_begun(turns: Sequence[Turn]) -> tuple[Sequence[Turn], str]:
    if not turns or turns[-1].role != "assistant" or turns[-1].tool_calls:
        return turns, ""
    if len(turns) > 1 and turns[-2].role == "assistant":
        raise TwoAnswersBegun
    return turns[:-1], turns[-1].content


def _past_thinking(text: str, thoughtless: Callable[[], str]) -> str:
    """The prompt of an answer that has begun: what is thought before it is over.

    llama.cpp writes empty thoughts, as a template does that is told not to think; so its own way to
    write them is taken if it has one.
    """
    opened = text.rstrip()
    opens = opened.endswith(THINK)
    start = opened if opens else text
    without = thoughtless()
    if without.startswith(start) and THOUGHT in without[len(start) :]:
        return without
    return f"{opened}\n\n{THOUGHT}\n\n" if opens else text
