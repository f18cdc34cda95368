"""The prompts of chat and generate, and what of them tells how the answer will look.

How a model writes down what is put together here is `styles`' to say.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from pydantic import ValidationError

from ollama_nb_server.answering.app_context import AppContext
from ollama_nb_server.answering.generation import max_num_tokens
from ollama_nb_server.answering.images import TOKENS_PER_IMAGE
from ollama_nb_server.answering.preparation import context_limit, require
from ollama_nb_server.answering.prompt import Prompt, text_guard
from ollama_nb_server.answering.refusals import refuse_context
from ollama_nb_server.answering.styles import Think, style, template_of, without_bos
from ollama_nb_server.engine.messages import Loaded, Segment, TextSegment, TokenSegment
from ollama_nb_server.library.errors import StoreBroken
from ollama_nb_server.library.model import Model
from ollama_nb_server.prompts.conversation import (
    Turn,
    kept_from,
    starting_points,
    with_model_turns,
    without_old_thoughts,
)
from ollama_nb_server.prompts.go import GoChatTemplate
from ollama_nb_server.prompts.image_tags import disguised, without_literal_tags
from ollama_nb_server.prompts.insertion import by_tokens
from ollama_nb_server.prompts.literals import RenderedPrompt, TextGuard
from ollama_nb_server.prompts.parsing.harmony_names import with_harmony_names
from ollama_nb_server.prompts.truncation import DroppedTurns, FittedTurns
from ollama_nb_server.scheduling.lease import Lease
from ollama_nb_server.wire.chat import ChatRequest, Message
from ollama_nb_server.wire.errors import RequestError
from ollama_nb_server.wire.generate import GenerateRequest
from ollama_nb_server.wire.options import Options

FORGETFUL = "qwen3"  # a family, and a model's name below, whose old thoughts are not shown again
FORGETFUL_NAME = "deepseek-r1"
NO_SHIFT = "deepseek2"  # a family whose memory does not bear a shift


def may_shift(model: Model, shift: bool | None) -> bool:
    """Whether a full context drops its older tokens; yes, unless somebody says otherwise."""
    return shift if shift is not None else model.config.model_family != NO_SHIFT


def think_of(model: Model, think: Think) -> Think:
    """A model that can think is asked to, unless the request says otherwise.

    gpt-oss knows three levels only.
    """
    if think == "max" and model.is_harmony:
        return "high"
    return True if think is None and "thinking" in model.capabilities else think


# --- chat -----------------------------------------------------------------------------------------


async def chat_prompt(
    app: AppContext, leased: Lease, model: Model, request: ChatRequest, options: Options
) -> Prompt:
    """The conversation as the model reads it, its oldest turns dropped until it fits."""
    turns = with_model_turns(
        model.system, history(model), [_turn(message) for message in request.messages or ()]
    )
    if model.config.model_family == FORGETFUL or model.name.model == FORGETFUL_NAME:
        turns = without_old_thoughts(turns)
    tools = _shown_tools(request)
    if tools and model.parser == "harmony":
        tools = with_harmony_names(tools)
    run, think = partial(app.templates.run, template_of(model)), think_of(model, request.think)
    if any(turn.images for turn in turns):
        turns = without_literal_tags(turns, but_own=bool(model.config.renderer))
    its = await run(partial(style, model, leased.info))
    written = partial(Prompt.written, text_guard(model, leased.info))
    fitted = FittedTurns(turns)
    if request.truncate is not False:

        async def fits(kept: Sequence[Turn]) -> bool:
            prompt = await run(partial(written, partial(its.measured, think=think), kept, tools))
            room = limit - per_image * sum(turn.num_images for turn in kept)
            return await _fits(leased, prompt.segments, room)

        limit = context_limit(options, leased.info)
        per_image = TOKENS_PER_IMAGE if model.projectors else 0
        fitted = await _fitting(turns, fits, limit)
    prompt = await run(partial(written, partial(its.chat, think=think), fitted.turns, tools))
    images = tuple(image for turn in fitted.turns for image in turn.images)
    sent = _without_bos(prompt.segments, model, leased.info)
    return replace(prompt, segments=sent, dropped=fitted.dropped, images=images)


def _without_bos(prompt: tuple[Segment, ...], model: Model, info: Loaded) -> tuple[Segment, ...]:
    """A prompt as it goes to the tokenizer; a user's text at its beginning is no BOS."""
    first, *rest = prompt
    if isinstance(first, TextSegment) and first.parse_special:
        first = replace(first, text=without_bos(first.text, model, info))
    return (first, *rest)


def _shown_tools(request: ChatRequest) -> list[dict[str, Any]] | None:
    """The tools that the model is shown: none where it is not to call any."""
    if request.tools is None or (request.tool_choice and request.tool_choice.kind == "none"):
        return None
    return [tool.for_template() for tool in request.tools]


async def _fitting(
    turns: Sequence[Turn], fits: Callable[[Sequence[Turn]], Awaitable[bool]], limit: int
) -> FittedTurns:
    """The longest end of the conversation that fits; the last turn always stays."""
    starts = starting_points(turns)
    low, high, middle = 0, len(starts) - 1, 0
    while low < high:  # the whole conversation first, then halves
        if await fits(kept_from(turns, starts[middle])):
            high = middle
        else:
            low = middle + 1
        middle = (low + high) // 2
    if high <= 0:
        return FittedTurns(turns)
    kept = kept_from(turns, starts[high])
    return FittedTurns(kept, DroppedTurns(len(turns), len(turns) - len(kept), limit))


async def _fits(leased: Lease, prompt: tuple[Segment, ...], limit: int) -> bool:
    if max_num_tokens(prompt) <= limit:
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
        images=tuple(message.images or ()),
    )


def history(model: Model) -> list[Turn]:
    """The turns that a model brings along.

    Raises
    ------
    StoreBroken
        If one of them is none: whoever asks has not written it.
    """
    try:
        return [_turn(Message.model_validate(message)) for message in model.messages]
    except (ValidationError, RequestError) as error:
        raise StoreBroken(
            f"a message that {model.name.display} begins with cannot be read: pull or create the "
            "model again"
        ) from error


# --- generate -------------------------------------------------------------------------------------


async def generate_prompt(
    app: AppContext, leased: Lease, model: Model, request: GenerateRequest
) -> Prompt:
    """What the model reads (reference/ollama-models.md 6.10)."""
    past = () if request.context is not None or _is_bare(request) else history(model)
    shown = [image for turn in past for image in turn.images]
    prompt = await _generate_prompt(app, leased, model, request, past)
    sent = prompt.segments
    if not request.raw:
        sent = _without_bos(sent, model, leased.info)
    return replace(prompt, segments=sent, images=(*shown, *(request.images or ())))


def _is_bare(request: GenerateRequest) -> bool:
    """Whether the prompt is all that is read: no template, or one that fills a gap in a text."""
    return bool(request.raw or request.suffix)


async def _generate_prompt(
    app: AppContext,
    leased: Lease,
    model: Model,
    request: GenerateRequest,
    past: Sequence[Turn],
) -> Prompt:
    prompt, think = request.prompt or "", think_of(model, request.think)
    guard = text_guard(model, leased.info)
    if request.raw:
        return Prompt(RenderedPrompt(prompt), (TextSegment(prompt),), guard)
    run = partial(
        app.templates.run, request.template or template_of(model), apart=bool(request.template)
    )
    if request.suffix:
        by_suffix = partial(_insertion, leased.info, model, request.template, think)
        return await run(partial(Prompt.written, guard, by_suffix, prompt, request.suffix))
    turn = Turn("user", prompt, images=tuple(request.images or ()))
    turns = with_model_turns(request.system or model.system, past, [turn])
    before: tuple[str, tuple[Segment, ...]] = ("", ())
    if request.context:
        refuse_context(request.context, leased.info.num_vocab)
        before = await _earlier(leased, guard, tuple(request.context))
    if any(turn.images for turn in turns) and not request.template:
        turns = without_literal_tags(turns, but_own=bool(model.config.renderer))
        before = disguised(before[0]), before[1]
    # by the request's own there are no image tags: Ollama runs such a template on what is there
    by = partial(_by_request, request.template) if request.template else None
    by_turns = partial(by or partial(_by_model, leased.info, model), think)
    written = await run(partial(Prompt.written, guard, by_turns, turns))
    return await run(partial(written.behind, *before)) if request.context else written


async def _earlier(
    leased: Lease, guard: TextGuard, context: tuple[int, ...]
) -> tuple[str, tuple[Segment, ...]]:
    """An earlier conversation as text, and as ids where its text has other special tokens.

    That is so where somebody wrote the text of one: it must not become one now. Everywhere else
    Ollama's way counts, which is to cut the text into tokens again.
    """
    worker = leased.worker
    text = await worker.detokenize(context)
    special = {(await worker.tokenize(found))[-1] for found in guard.reserved_in(text)}
    if not special or _only(special, await worker.tokenize(text)) == _only(special, context):
        return text, ()
    return text, (TextSegment(""), TokenSegment(context))  # begins with text: BOS may be put before


def _only(wanted: Collection[int], tokens: Sequence[int]) -> list[int]:
    return [token for token in tokens if token in wanted]


def _by_model(info: Loaded, model: Model, think: Think, turns: Sequence[Turn]) -> str:
    return style(model, info).generate(turns, think)


def _by_request(template: str, think: Think, turns: Sequence[Turn]) -> str:
    return GoChatTemplate.of(template).render(turns, think=think)


def _insertion(
    info: Loaded, model: Model, own: str | None, think: Think, prefix: str, suffix: str
) -> str:
    """A prompt whose answer belongs between `prefix` and `suffix`; `own` is a request's template.

    Raises
    ------
    DoesNotSupport
        If neither a template nor the model's vocabulary has a way to ask for that.
    """
    template = own or model.template
    if template and "insert" in model.capabilities:
        return GoChatTemplate.of(template).render_insert(prefix, suffix, think=think)
    if not info.fim_texts:
        require(model, "insert")
    return by_tokens(info.fim_texts, prefix, suffix)
