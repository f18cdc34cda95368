"""What of a prompt is everybody's: where users are told apart, only that is computed for all.

It is found by writing the prompt twice without what its user says: as far as both begin alike, the
text is the model's own (its template, its system text, the turns that it brings along), or that of
a document which an administrator has made public. What a prompt has in common with that, and only
that, tells nobody anything about others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from ollama_nb_server.answering.app_context import AppContext
from ollama_nb_server.answering.prompting import chat_prompt, generate_prompt
from ollama_nb_server.engine.messages import Segment, TextSegment
from ollama_nb_server.engine.prefixes.index import num_shared
from ollama_nb_server.library.model import Model
from ollama_nb_server.scheduling.lease import Lease
from ollama_nb_server.wire.chat import ChatRequest, Message
from ollama_nb_server.wire.generate import GenerateRequest
from ollama_nb_server.wire.options import Options

STRANGERS = ("0", "Z")  # what two users say who have nothing in common
BARE = {"images": None, "truncate": False}


async def public_text(
    app: AppContext,
    leased: Lease,
    model: Model,
    request: ChatRequest | GenerateRequest,
    options: Options,
) -> tuple[Segment, ...]:
    """What a request's prompt may begin with and is everybody's; empty where nothing is."""
    sharing = app.settings.sharing
    is_public = sharing.is_public(model.name.display) and not model.owner  # a user's own never is
    if not (leased.context.caller.salt and is_public):
        return ()
    documents = await asyncio.to_thread(texts_of, sharing.public_documents)
    if isinstance(request, ChatRequest):
        asked = [_chat_of(request, documents, stranger) for stranger in STRANGERS]
        prompts = [await chat_prompt(app, leased, model, each, options) for each in asked]
    elif request.raw or request.template or request.suffix:
        return ()
    else:
        texts = [_generate_of(request, documents, stranger) for stranger in STRANGERS]
        prompts = [await generate_prompt(app, leased, model, each) for each in texts]
    one, other = (prompt.segments for prompt in prompts)
    return common_segments(one, other)


@cache
def texts_of(paths: Sequence[Path]) -> tuple[str, ...]:
    """The texts of documents, the longest first, as they were when they were first asked for."""
    texts = (path.read_text("utf-8").strip() for path in paths)
    return tuple(sorted(filter(None, texts), key=len, reverse=True))


def _chat_of(request: ChatRequest, documents: Sequence[str], stranger: str) -> ChatRequest:
    messages = []
    for message in request.messages or ():
        content = message.content or ""
        messages.append(Message(role=message.role, content=_known(content, documents) + stranger))
        if content not in documents or message.images or message.tool_calls or message.thinking:
            break
        messages[-1] = Message(role=message.role, content=content)
    else:
        messages.append(Message(role="user", content=stranger))
    return request.model_copy(update={**BARE, "messages": messages, "tools": None})


def _generate_of(
    request: GenerateRequest, documents: Sequence[str], stranger: str
) -> GenerateRequest:
    system, prompt = request.system or "", request.prompt or ""
    fields = {"context": None, "prompt": _known(prompt, documents) + stranger}
    if system and system not in documents:
        fields = {"context": None, "system": _known(system, documents) + stranger, "prompt": ""}
    return request.model_copy(update={**BARE, **fields})


def _known(text: str, documents: Sequence[str]) -> str:
    """The document that a text begins with, if it does."""
    return next(filter(text.startswith, documents), "")


def common_segments(one: Sequence[Segment], other: Sequence[Segment]) -> tuple[Segment, ...]:
    """What two prompts begin with: whole segments, and what the next two have in common."""
    common: list[Segment] = []
    for a, b in zip(one, other, strict=False):
        if a != b:
            if isinstance(a, TextSegment) and isinstance(b, TextSegment):
                text = a.text[: num_shared(a.text, b.text)]
                if text and replace(a, text=b.text) == b:
                    common.append(replace(a, text=text))
            break
        common.append(a)
    return tuple(common)
