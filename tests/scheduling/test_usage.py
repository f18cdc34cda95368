"""A request is accounted for once, however it ends: with real workers of the bundled model."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path

import pytest
from ollama_nb_server.engine.client import End
from ollama_nb_server.engine.errors import EngineError, WorkerDied
from ollama_nb_server.engine.messages import (
    Embed,
    Finished,
    Generate,
    LoadSpec,
    SamplingParams,
    TextSegment,
)
from ollama_nb_server.engine.process import Worker
from ollama_nb_server.scheduling.context import Caller, RequestContext
from ollama_nb_server.scheduling.lease import Lease
from ollama_nb_server.scheduling.scheduler import Scheduler
from ollama_nb_server.scheduling.usage import Record, Usage

ENDLESS = SamplingParams(seed=1, temperature=5.0, top_k=0, top_p=1.0)


@pytest.fixture
def records() -> list[Usage]:
    return []


@pytest.fixture
async def lease(records: list[Usage], demo_gguf: Path) -> AsyncIterator[Lease]:
    def account(record: Record) -> None:
        if isinstance(record, Usage):
            records.append(record)

    scheduler = Scheduler(account=account)
    spec = LoadSpec(str(demo_gguf), num_ctx=256, num_parallel=1)
    async with scheduler.lease(spec, label="demo", context=RequestContext(Caller("ada"))) as lease:
        yield lease
    await scheduler.close()


def request(lease: Lease, num_predict: int = 4, prompt: str = "Once upon a time") -> Generate:
    return Generate(lease.worker.new_id(), (TextSegment(prompt),), ENDLESS, num_predict)


async def generate(
    lease: Lease, request: Generate, at_once: Callable[[], None] = lambda: None
) -> list[object]:
    """All events of a request; `at_once` is called with each of them."""
    async with lease.generating() as ended:
        events = []
        async for event in lease.worker.generate(request, ended):
            events.append(event)
            at_once()
    return events


async def test_one_that_finished(lease: Lease, records: list[Usage]) -> None:
    *_, last = await generate(lease, request(lease))

    assert isinstance(last, Finished)
    (record,) = records
    assert (record.user, record.model, record.ending.how) == ("ada", "demo", End.FINISHED)
    assert (record.ending.prompt_count, record.ending.eval_count) == (last.prompt_count, 4)


async def test_one_that_was_cancelled(lease: Lease, records: list[Usage]) -> None:
    async with (
        lease.generating() as ended,
        aclosing(lease.worker.generate(request(lease, -1), ended)) as events,
    ):
        await anext(events)

    (record,) = records
    assert record.ending.how is End.CANCELLED
    assert record.ending.prompt_count > 0
    assert record.ending.eval_count > 0


async def test_one_whose_task_was_cancelled(lease: Lease, records: list[Usage]) -> None:
    begun = asyncio.Event()

    task = asyncio.create_task(generate(lease, request(lease, -1), begun.set))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    (record,) = records
    assert record.ending.how is End.CANCELLED
    assert record.ending.eval_count > 0


async def test_one_that_left_before_its_turn(lease: Lease, records: list[Usage]) -> None:
    async def wait() -> None:
        async with lease.generating():
            raise AssertionError("the only slot is taken")

    async with lease.generating():
        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])

    assert [r.ending.how for r in records] == [End.CANCELLED, End.FINISHED]


async def test_one_that_failed(lease: Lease, records: list[Usage]) -> None:
    with pytest.raises(EngineError):
        await generate(lease, request(lease, prompt="word " * 500))

    (record,) = records
    assert record.ending.how is End.FAILED


async def test_one_whose_worker_died(lease: Lease, records: list[Usage]) -> None:
    worker = lease.worker
    assert isinstance(worker, Worker)
    with pytest.raises(WorkerDied):
        await generate(lease, request(lease, -1), lambda: os.kill(worker.pid, signal.SIGKILL))

    (record,) = records
    assert record.ending.how is End.DIED
    assert record.ending.eval_count > 0


async def test_one_that_embedded(lease: Lease, records: list[Usage]) -> None:
    async with lease.embedding() as ended:
        embedded = await lease.worker.embed(Embed(lease.worker.new_id(), ("a cat",)), ended)

    (record,) = records
    assert (record.ending.how, record.ending.prompt_count) == (End.FINISHED, embedded.prompt_count)
