"""How a model writes a conversation down: a built-in renderer, a Go template, or a Jinja one.

Which of them counts is decided in the library; what they do, in the prompts room.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ollama_nb_server.engine.messages import Loaded
from ollama_nb_server.library.model import Model
from ollama_nb_server.prompts.conversation import Turn
from ollama_nb_server.prompts.go import DEFAULT, GoChatTemplate
from ollama_nb_server.prompts.image_tags import with_image_tags, with_tags_behind
from ollama_nb_server.prompts.renderers.renderer import Renderer, leading_bos
from ollama_nb_server.prompts.renderers.sizes import renderer_of_size
from ollama_nb_server.prompts.templates import ChatTemplate

GEMMA_BOS = "<bos>"

Think = bool | str | None
Offered = Sequence[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class RendererStyle:
    """By one of Ollama's built-in renderers (reference/ollama-models.md 5.9)."""

    renderer: Renderer

    def chat(self, turns: Sequence[Turn], tools: Offered | None, think: Think) -> str:
        """The prompt for a conversation."""
        return self.renderer.render(turns, tools=tools or (), think=think)

    measured = chat

    def generate(self, turns: Sequence[Turn], think: Think) -> str:
        """The prompt for a single question: the same."""
        return self.chat(turns, (), think)


@dataclass(frozen=True, slots=True)
class GoStyle:
    """By a Go template: Ollama makes the prompt itself (reference/ollama-models.md 6.1)."""

    template: GoChatTemplate

    def chat(self, turns: Sequence[Turn], tools: Offered | None, think: Think) -> str:
        """The prompt for a conversation."""
        return self.template.render(with_image_tags(turns), tools=tools, think=think)

    def measured(self, turns: Sequence[Turn], tools: Offered | None, think: Think) -> str:
        """The text whose tokens are counted, as in Ollama: without the images' tags."""
        return self.template.render(turns, tools=tools, think=think)

    def generate(self, turns: Sequence[Turn], think: Think) -> str:
        """The prompt for a single question: the same."""
        return self.chat(turns, [], think)


@dataclass(frozen=True, slots=True)
class JinjaStyle:
    """By a GGUF's own Jinja template, or by a default: llama.cpp's part in Ollama."""

    template: ChatTemplate

    def chat(self, turns: Sequence[Turn], tools: Offered | None, think: Think) -> str:
        """The prompt for a conversation."""
        return self.measured(with_tags_behind(turns), tools, think)

    def measured(self, turns: Sequence[Turn], tools: Offered | None, think: Think) -> str:
        """The text whose tokens are counted: without the images' tags."""
        return self.template.render(turns, tools=tools or (), think=think)

    def generate(self, turns: Sequence[Turn], think: Think) -> str:
        """The prompt for a single question; without any template the bare text."""
        return self.template.render_generate(with_image_tags(turns), think=think)


Style = RendererStyle | GoStyle | JinjaStyle


def is_rendered(model: Model) -> bool:
    """Whether its prompts are made by Ollama itself, not by llama.cpp (reference 6.1)."""
    return not model.uses_jinja


def style(model: Model, info: Loaded) -> Style:
    """The renderer or template of a model that counts (reference/ollama-models.md 5.7).

    Raises
    ------
    UnknownRenderer, GoTemplateBroken
        If there is no renderer of the name that the model has; if its Go template is none.
    """
    if model.config.renderer:
        names = (model.name.display, model.name.full)
        name = renderer_of_size(model.config.renderer, names, model.config.model_type)
        return RendererStyle(Renderer.of(name))
    if is_rendered(model):
        return GoStyle(GoChatTemplate.of(DEFAULT if model.template is None else model.template))
    template = ChatTemplate(
        model.metadata.chat_template or None,
        info.bos_text,
        info.eos_text,
        tool_source=model.metadata.tool_template or None,
        adds_bos=info.add_bos,
    )
    return JinjaStyle(template)


def without_bos(prompt: str, model: Model, info: Loaded) -> str:
    """A prompt as it goes to the tokenizer: without BOS as text, if that adds it (reference 6.5).

    Of a Go template's texts Ollama knows Gemma's only; Jinja templates have seen to theirs.
    """
    for bos in (leading_bos(model.config.renderer), GEMMA_BOS):
        if info.add_bos and is_rendered(model) and bos and prompt.startswith(bos):
            return prompt.removeprefix(bos)
    return prompt


def template_of(model: Model) -> str:
    """The text that tells a model's way to write from others'."""
    return model.config.renderer or model.template or model.metadata.chat_template
