"""Which of a model's templates writes its prompts, and the prompts of chat and generate.

What the templates do with a conversation is the prompts room's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from ollama_nb_server.answering.constraint import Thoughts
from ollama_nb_server.answering.preparation import context_limit, require
from ollama_nb_server.engine.messages import Loaded
from ollama_nb_server.gotemplate.reading import read
from ollama_nb_server.library.model import Model
from ollama_nb_server.prompts.conversation import (
    Turn,
    kept_from,
    starting_points,
    with_model_turns,
    without_old_thoughts,
)
from ollama_nb_server.prompts.errors import UnknownRenderer
from ollama_nb_server.prompts.go import GoChatTemplate
from ollama_nb_server.prompts.image_tags import with_image_tags
from ollama_nb_server.prompts.insertion import by_tokens
from ollama_nb_server.prompts.templates import ChatTemplate
from ollama_nb_server.scheduling.scheduler import Lease
from ollama_nb_server.wire.chat import ChatRequest, Message
from ollama_nb_server.wire.generate import GenerateRequest
from ollama_nb_server.wire.options import Options

FORGETFUL = "qwen3"  # a family, and a model's name below, whose old thoughts are not shown again
FORGETFUL_NAME = "deepseek-r1"
THINK_TAGS = ("<think>", "</think>")
NO_SHIFT = "deepseek2"  # a family whose memory does not bear a shift


Think = bool | str | None
Offered = Sequence[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class GoStyle:
    """By a Go template: Ollama makes the prompt itself (reference/ollama-models.md 6.1)."""

    template: GoChatTemplate
    rendered: ClassVar[bool] = True

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
    rendered: ClassVar[bool] = False

    def chat(self, turns: Sequence[Turn], tools: Offered | None, think: Think) -> str:
        """The prompt for a conversation."""
        return self.template.render(turns, tools=tools or (), think=think)

    measured = chat

    def generate(self, turns: Sequence[Turn], think: Think) -> str:
        """The prompt for a single question; without any template the bare text."""
        return self.template.render_generate(turns, think=think)


Style = GoStyle | JinjaStyle


def style(model: Model, info: Loaded) -> Style:
    """The template of a model that counts (reference/ollama-models.md 5.7).

    Raises
    ------
    UnknownRenderer, GoTemplateBroken
        If the model wants one of Ollama's built-in renderers; if its Go template is none.
    """
    if model.config.renderer:
        raise UnknownRenderer(model.config.renderer)
    if model.uses_jinja or model.template is None:
        template = ChatTemplate(
            model.metadata.chat_template or None,
            info.bos_text,
            info.eos_text,
            tool_source=model.metadata.tool_template or None,
            adds_bos=info.add_bos,
        )
        return JinjaStyle(template)
    return GoStyle(GoChatTemplate.of(model.template))


def may_shift(model: Model, shift: bool | None) -> bool:
    """Whether a full context drops its older tokens; yes, unless somebody says otherwise."""
    return shift if shift is not None else model.config.model_family != NO_SHIFT


def think_of(model: Model, think: Think) -> Think:
    """A model that can think is asked to, unless the request says otherwise."""
    return True if think is None and "thinking" in model.capabilities else think


def thoughts_of(model: Model, think: Think, prompt: str) -> Thoughts:
    """How a model marks what it thinks before it answers this prompt; nothing if it does not.

    A Go template shows that by what it puts around a message's thinking.
    """
    if not think_of(model, think):
        return Thoughts()
    reading = None if model.uses_jinja else read(model.template or "")
    opens, closes = (reading and reading.think_tags) or THINK_TAGS
    return Thoughts("" if prompt.rstrip().endswith(opens) else opens, closes)


# --- chat -----------------------------------------------------------------------------------------


async def chat_prompt(leased: Lease, model: Model, request: ChatRequest, options: Options) -> str:
    """The conversation as the model reads it, its oldest turns dropped until it fits."""
    turns: Sequence[Turn] = with_model_turns(
        model.system, history(model), [_turn(message) for message in request.messages or ()]
    )
    if model.config.model_family == FORGETFUL or model.name.model == FORGETFUL_NAME:
        turns = without_old_thoughts(turns)
    tools = None if request.tools is None else [tool.for_template() for tool in request.tools]
    its, think = style(model, leased.info), think_of(model, request.think)
    if request.truncate is not False:
        measured = partial(its.measured, tools=tools, think=think)
        turns = await _fitting(leased, turns, measured, context_limit(options, leased.info))
    return await asyncio.to_thread(its.chat, turns, tools, think)


async def _fitting(
    leased: Lease, turns: Sequence[Turn], measured: Callable[[Sequence[Turn]], str], limit: int
) -> Sequence[Turn]:
    """The longest end of the conversation that fits; the last turn always stays."""
    starts = starting_points(turns)
    low, high, middle = 0, len(starts) - 1, 0
    while low < high:  # the whole conversation first, then halves
        prompt = await asyncio.to_thread(measured, kept_from(turns, starts[middle]))
        if await _fits(leased, prompt, limit):
            high = middle
        else:
            low = middle + 1
        middle = (low + high) // 2
    return kept_from(turns, starts[high]) if starts else turns


async def _fits(leased: Lease, prompt: str, limit: int) -> bool:
    if len(prompt.encode()) <= limit:  # no token is shorter than a byte
        return True
    return await leased.worker.count(prompt) <= limit


def _turn(message: Message) -> Turn:
    return Turn(
        role=message.role or "",
        content=message.content or "",
        tool_calls=tuple(call.for_template() for call in message.tool_calls or ()),
        tool_name=message.tool_name or "",
        tool_call_id=message.tool_call_id or "",
        thinking=message.thinking or "",
        num_images=len(message.images or ()),
    )


def history(model: Model) -> list[Turn]:
    """The turns that a model brings along."""
    return [_turn(Message.model_validate(message)) for message in model.messages]


# --- generate -------------------------------------------------------------------------------------


async def generate_prompt(leased: Lease, model: Model, request: GenerateRequest) -> str:
    """The text the model reads (reference/ollama-models.md 6.10)."""
    prompt, think = request.prompt or "", think_of(model, request.think)
    if request.raw:
        return prompt
    if request.suffix:
        return await asyncio.to_thread(_insertion, leased.info, model, request, think)
    turn = Turn("user", prompt, num_images=len(request.images or ()))
    past = () if request.context is not None else history(model)
    turns = with_model_turns(request.system or model.system, past, [turn])
    before = await leased.worker.detokenize(request.context) if request.context else ""
    if request.template:
        # no image tags: Ollama runs such a template on what is there
        text = await asyncio.to_thread(_by_request, request.template, turns, think)
    else:
        text = await asyncio.to_thread(style(model, leased.info).generate, turns, think)
    return before + text


def _by_request(template: str, turns: Sequence[Turn], think: Think) -> str:
    return GoChatTemplate.of(template).render(turns, think=think)


def _insertion(info: Loaded, model: Model, request: GenerateRequest, think: Think) -> str:
    """A prompt whose answer belongs between `prompt` and `suffix`.

    Raises
    ------
    DoesNotSupport
        If neither a template nor the model's vocabulary has a way to ask for that.
    """
    prompt, suffix = request.prompt or "", request.suffix or ""
    template = request.template or model.template
    if template and "insert" in model.capabilities:
        return GoChatTemplate.of(template).render_insert(prompt, suffix, think=think)
    if not info.fim_texts:
        require(model, "insert")
    return by_tokens(info.fim_texts, prompt, suffix)
