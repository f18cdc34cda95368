"""One function a verb: read the request, call the room below, answer."""

from __future__ import annotations

import re
import time
from contextlib import nullcontext

from ollama_nb_server.answering import chat as chatting
from ollama_nb_server.answering import create as creating
from ollama_nb_server.answering import embed as embedding
from ollama_nb_server.answering import generate as generating
from ollama_nb_server.answering import models as managing
from ollama_nb_server.answering import score as scoring
from ollama_nb_server.answering import tokens as tokenizing
from ollama_nb_server.answering import transfer as transferring
from ollama_nb_server.answering import usage as accounting
from ollama_nb_server.handlers.base import ApiHandler
from ollama_nb_server.handlers.writing import JSON, JSON_BARE
from ollama_nb_server.library.digests import Digest
from ollama_nb_server.library.errors import BlobNotFound
from ollama_nb_server.wire.chat import ChatRequest
from ollama_nb_server.wire.embed import EmbeddingsRequest, EmbedRequest
from ollama_nb_server.wire.errors import CloudDisabled, NotThereYet
from ollama_nb_server.wire.generate import GenerateRequest
from ollama_nb_server.wire.golike import GoModel, first_value
from ollama_nb_server.wire.models import (
    CopyRequest,
    CreateRequest,
    DeleteRequest,
    Document,
    PullRequest,
    PushRequest,
    ShowRequest,
)
from ollama_nb_server.wire.score import ScoreRequest
from ollama_nb_server.wire.tokens import DetokenizeRequest, TokenizeRequest
from ollama_nb_server.wire.usage import CSV, UsageRequest

# The release of Ollama whose API this is: clients compare it with what they need.
OLLAMA_VERSION = "0.33.0"
FIELDS_HEADER = "X-Ollama-Nb-Fields"
FIELDS = tuple(name for name in ("think_budget", "tool_choice") if name in ChatRequest.model_fields)
OWN_ROUTES = (
    "/api/cancel",
    "/api/detokenize",
    "/api/score",
    "/api/stream",
    "/api/tokenize",
    "/api/usage",
)  # that Ollama does not have


async def root(handler: ApiHandler) -> None:
    """Say that a server is here, in Ollama's words."""
    handler.send(b"Ollama is running", "text/plain; charset=utf-8")


async def version(handler: ApiHandler) -> None:
    """The version of the API; who asks for extras hears what Ollama does not have."""
    if handler.wants_extras:
        handler.set_header(FIELDS_HEADER, ", ".join((*FIELDS, *OWN_ROUTES)))
    await handler.answer(Document({"version": OLLAMA_VERSION}))


async def status(handler: ApiHandler) -> None:
    """There is no cloud here; `source` says who switched it off."""
    source = "env" if (await handler.app_context()).settings.no_cloud else "config"
    await handler.answer(Document({"cloud": {"disabled": True, "source": source}}))


async def metrics(handler: ApiHandler) -> None:
    """What goes on, for Prometheus."""
    app = await handler.app_context()
    handler.send(*app.metrics.exposition(handler.request.headers.get("Accept", "")))


async def generate(handler: ApiHandler) -> None:
    """Continue a prompt."""
    request = await handler.read(GenerateRequest)
    app, context = await handler.app_context(), handler.request_context()
    await handler.answer(await generating.generate(app, request, context))


async def chat(handler: ApiHandler) -> None:
    """Answer a conversation."""
    request = await handler.read(ChatRequest)
    app, context = await handler.app_context(), handler.request_context()
    await handler.answer(await chatting.chat(app, request, context))


async def embed(handler: ApiHandler) -> None:
    """Vectors of texts."""
    request = await handler.read(EmbedRequest)
    app, context = await handler.app_context(), handler.request_context()
    await handler.answer(await embedding.embed(app, request, context))


async def embeddings(handler: ApiHandler) -> None:
    """The vector of one text, the old way."""
    request = await handler.read(EmbeddingsRequest)
    app, context = await handler.app_context(), handler.request_context()
    await handler.answer(await embedding.embeddings(app, request, context))


async def score(handler: ApiHandler) -> None:
    """How likely texts are behind prompts."""
    request = await handler.read(ScoreRequest)
    app, context = await handler.app_context(), handler.request_context()
    await handler.answer(await scoring.score(app, request, context))


async def tokenize(handler: ApiHandler) -> None:
    """The tokens of texts."""
    request = await handler.read(TokenizeRequest)
    app, context = await handler.app_context(), handler.request_context()
    await handler.answer(await tokenizing.tokenize(app, request, context))


async def detokenize(handler: ApiHandler) -> None:
    """The texts of tokens."""
    request = await handler.read(DetokenizeRequest)
    app, context = await handler.app_context(), handler.request_context()
    await handler.answer(await tokenizing.detokenize(app, request, context))


async def usage(handler: ApiHandler) -> None:
    """What the caller has used, or who else."""
    said = {
        name: [value.decode("utf-8", "replace") for value in values]
        for name, values in handler.request.query_arguments.items()
    }
    request = UsageRequest.of(said, handler.request.headers.get("Accept", ""), time.time())
    app = await handler.app_context()
    async with app.reports.of(handler.caller.name) if request.is_long else nullcontext():
        body = await accounting.usage(app, request, handler.caller)
        await handler.send_long(body, f"{CSV}; charset=utf-8" if request.as_csv else JSON)


async def tags(handler: ApiHandler) -> None:
    """The models in the store."""
    app = await handler.app_context()
    await handler.answer(await managing.tags(app, handler.caller, with_extras=handler.wants_extras))


async def ps(handler: ApiHandler) -> None:
    """The loaded models."""
    app = await handler.app_context()
    await handler.answer(await managing.ps(app, handler.caller, with_extras=handler.wants_extras))


async def show(handler: ApiHandler) -> None:
    """One model in detail."""
    request = await handler.read(ShowRequest)
    app, agent = await handler.app_context(), handler.request.headers.get("User-Agent", "")
    await handler.answer(await managing.show(app, request, handler.caller, agent))


async def copy(handler: ApiHandler) -> None:
    """A second name."""
    request = await handler.read(CopyRequest)
    await managing.copy(await handler.app_context(), request, handler.caller)
    handler.send(b"", None)


async def delete(handler: ApiHandler) -> None:
    """Remove a model."""
    request = await handler.read(DeleteRequest)
    await managing.delete(await handler.app_context(), request, handler.caller)
    handler.send(b"", None)


async def create(handler: ApiHandler) -> None:
    """Make a model."""
    request = await handler.read(CreateRequest)
    app = await handler.app_context()
    await handler.answer(await creating.create(app, request, handler.caller), JSON_BARE)


async def head_blob(handler: ApiHandler) -> None:
    """Whether a blob is there."""
    app, digest = await handler.app_context(), Digest.parse(handler.path_args[0])
    if not await app.executors.read(app.allowance(handler.caller).knows, digest):
        raise BlobNotFound(digest.colon)
    handler.send(b"", None)


async def pull(handler: ApiHandler) -> None:
    """Download a model."""
    request = await handler.read(PullRequest)
    await handler.answer(await transferring.pull(await handler.app_context(), request), JSON_BARE)


async def push(handler: ApiHandler) -> None:
    """Upload a model."""
    request = await handler.read(PushRequest)
    await handler.answer(await transferring.push(await handler.app_context(), request), JSON_BARE)


async def no_account(handler: ApiHandler) -> None:
    """Accounts are in the cloud."""
    raise CloudDisabled("there are no accounts here")


async def web_search(handler: ApiHandler) -> None:
    """A cloud feature."""
    await handler.read(GoModel)
    raise CloudDisabled("web search is unavailable")


async def web_fetch(handler: ApiHandler) -> None:
    """A cloud feature."""
    await handler.read(GoModel)
    raise CloudDisabled("web fetch is unavailable")


async def recommendations(handler: ApiHandler) -> None:
    """What to try first: the model that is always there."""
    demo = {"model": "demo", "description": "The small model that comes with ollama_nb"}
    facts = {"context_length": 2048, "max_output_tokens": 2048}
    await handler.answer(Document({"recommendations": [demo | facts]}))


async def compatible(handler: ApiHandler) -> None:
    """To come: the OpenAI and Anthropic dialects. The body must be JSON all the same."""
    if handler.request.method == "POST" and not re.search("audio", handler.route.path):
        first_value(handler.request.body)
    raise NotThereYet(f"/{handler.route.name}")


async def stream(handler: ApiHandler) -> None:
    """Go on with a stream that was cut, behind as many documents as its owner has received."""
    place = handler.get_query_argument("from", "0")
    if not (place.isascii() and place.isdecimal() and len(place) < 16):
        handler.refuse(400, "from must be the number of documents that have been received")
        return
    kept = (await handler.app_context()).kept.find(handler.path_args[0], handler.caller.name)
    if kept is None or not kept.has(int(place)):
        handler.refuse(404, "there is no such stream, or no longer from there on")
        return
    handler.tells_every(kept.interval_s)
    await handler.answer(kept.read(int(place)))


async def cancel(handler: ApiHandler) -> None:
    """End a stream that is kept for its owner."""
    kept = (await handler.app_context()).kept.find(handler.path_args[0], handler.caller.name)
    if kept is None:
        handler.refuse(404, "there is no such stream, or no longer")
        return
    kept.cancel()
    kept.close()
    await handler.answer(Document({}))
