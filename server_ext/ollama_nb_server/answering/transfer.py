"""The verbs pull and push (reference/ollama-http-api.md 10.8, 10.9)."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from ollama_nb_server.answering.app_context import AppContext
from ollama_nb_server.answering.heartbeat import AnswerStream, repeating
from ollama_nb_server.answering.naming import refuse_cloud
from ollama_nb_server.library.errors import InvalidName
from ollama_nb_server.library.names import ModelName, completed
from ollama_nb_server.registry import Progress
from ollama_nb_server.registry.errors import UnqualifiedName
from ollama_nb_server.scheduling.context import OWNER
from ollama_nb_server.wire.errors import MissingModel
from ollama_nb_server.wire.models import ProgressResponse, PullRequest, PushRequest

Answer = ProgressResponse | AnswerStream[ProgressResponse]


async def pull(app: AppContext, request: PullRequest) -> Answer:
    """Download a model: a stream of its steps, or the last one."""
    if not request.asked:
        raise MissingModel
    ref = await app.executors.read(app.catalog(OWNER).meant, request.asked)
    refuse_cloud(ref)
    news = app.transfers.pull(ref.name, insecure=bool(request.insecure))
    return await _answered(app, _said(news), request, "pulling manifest")


async def pull_into(app: AppContext, name: ModelName) -> AsyncGenerator[Progress, None]:
    """Download a model that another verb needs; never over a connection without TLS."""
    async with aclosing(app.transfers.pull(name)) as news:
        async for progress in news:
            yield progress


async def push(app: AppContext, request: PushRequest) -> Answer:
    """Upload a model: a stream of its steps, or the last one."""
    if not request.asked:
        raise MissingModel
    return await _answered(app, _pushed(app, request), request, "retrieving manifest")


async def _pushed(app: AppContext, request: PushRequest) -> AsyncGenerator[ProgressResponse, None]:
    """A name that is none is found out too late for a status of its own, as in Ollama."""
    try:
        name = await app.executors.read(app.store.resolve, ModelName.parse(request.asked))
    except InvalidName as error:
        yield ProgressResponse("retrieving manifest")
        yield ProgressResponse("couldn't retrieve manifest")
        raise UnqualifiedName(completed(request.asked)) from error
    async with aclosing(_said(app.transfers.push(name, insecure=bool(request.insecure)))) as news:
        async for line in news:
            yield line


async def _said(news: AsyncGenerator[Progress, None]) -> AsyncGenerator[ProgressResponse, None]:
    """On the wire; closing this ends what runs for it."""
    async with aclosing(news):
        async for step in news:
            yield ProgressResponse(step.status, step.digest, step.total, step.completed)


async def _answered(
    app: AppContext,
    lines: AsyncGenerator[ProgressResponse, None],
    request: PullRequest,
    beginning: str,
) -> Answer:
    if request.stream is not False:
        return repeating(lines, ProgressResponse(beginning), app.settings.heartbeat_s)
    async with aclosing(lines):
        *_, last = [line async for line in lines]
    return last
