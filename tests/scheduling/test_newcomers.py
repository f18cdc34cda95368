"""Who has nothing running while others do is a newcomer to the engine: with a real worker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from ollama_nb_server.answering.generation import GenerationParams, run
from ollama_nb_server.answering.output import OutputPlan
from ollama_nb_server.answering.progress import RequestProgress
from ollama_nb_server.engine.messages import Generate, LoadSpec, TextSegment
from ollama_nb_server.engine.process import Worker
from ollama_nb_server.prompts.parsing.generic import PlainParser
from ollama_nb_server.scheduling.context import Caller, RequestContext
from ollama_nb_server.scheduling.scheduler import Scheduler
from ollama_nb_server.scheduling.shares import Shares
from ollama_nb_server.wire.options import Options


@pytest.fixture
async def scheduler() -> AsyncIterator[Scheduler]:
    scheduler = Scheduler(shares=Shares(shared=True))
    yield scheduler
    await scheduler.close()


ENDLESS = Options(temperature=5.0, stop=("\0",))


@asynccontextmanager
async def answering(scheduler: Scheduler, name: str, path: Path) -> AsyncIterator[None]:
    """Somebody's request, which is being answered meanwhile."""
    spec = LoadSpec(str(path), num_ctx=256, num_parallel=4)
    context = RequestContext(Caller(name))
    plan = OutputPlan(PlainParser(), (), None, None, calls_last=False, new_id=str)
    prompt = (TextSegment("Once upon a time"),)
    async with scheduler.lease(spec, label="demo", digest="d", context=context) as lease:
        progress = RequestProgress(scheduler)
        answer = run(lease, prompt, ENDLESS, GenerationParams(plan), progress)
        async with aclosing(answer):
            await anext(answer)
            yield


async def test_the_engine_is_told_who_is_a_newcomer(
    scheduler: Scheduler, demo_gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Generate] = []
    generate = Worker.generate

    def noted(client: Worker, request: Generate, ended: Any) -> Any:
        asked.append(request)
        return generate(client, request, ended)

    monkeypatch.setattr(Worker, "generate", noted)
    async with AsyncExitStack() as stack:
        for name in ("ana", "ana", "ben"):
            await stack.enter_async_context(answering(scheduler, name, demo_gguf))

    assert [request.newcomer for request in asked] == [False, False, True]
