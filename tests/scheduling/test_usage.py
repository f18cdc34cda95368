"""A request is accounted for once, however it ends: with real workers of the bundled model."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from datetime import datetime, timezone
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
from ollama_nb_server.scheduling.errors import QuotaSpent
from ollama_nb_server.scheduling.lease import Lease
from ollama_nb_server.scheduling.scheduler import Scheduler
from ollama_nb_server.scheduling.usage import Asked, Record, Usage

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
    async with leased(scheduler, demo_gguf) as lease:
        yield lease
    await scheduler.close()


def leased(scheduler: Scheduler, path: Path) -> AbstractAsyncContextManager[Lease]:
    context = RequestContext(Caller("ada"), verb="generate")
    spec = LoadSpec(str(path), num_ctx=256, num_parallel=1)
    return scheduler.lease(spec, label="demo", digest="d", context=context)


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
    assert (record.prompt_ns, record.eval_ns) == (last.prompt_ns, last.eval_ns)
    assert record.load_ns > 0


async def test_one_that_was_cancelled(lease: Lease, records: list[Usage]) -> None:
    async with (
        lease.generating() as ended,
        aclosing(lease.worker.generate(request(lease, -1), ended)) as events,
    ):
        await anext(events)

    (record,) = records
    assert record.ending.how is End.CANCELLED
    assert record.compute_s > 0
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


async def test_one_that_left_before_its_turn(demo_gguf: Path) -> None:
    records: list[Record] = []
    scheduler = Scheduler(account=records.append)

    async def wait() -> None:
        async with leased(scheduler, demo_gguf) as other, other.generating():
            raise AssertionError("the only slot is taken")

    async with leased(scheduler, demo_gguf) as lease, lease.generating():
        task = asyncio.create_task(wait())
        await asyncio.sleep(0.1)
        task.cancel()
        await asyncio.wait([task])
    await scheduler.close()

    used = [
        (record.asked.number, record.ending.how) for record in records if isinstance(record, Usage)
    ]
    asked = [record.number for record in records if isinstance(record, Asked)]
    assert asked == [1, 2]
    assert used == [(2, End.CANCELLED), (1, End.FINISHED)]


async def test_one_that_wanted_nothing_computed(demo_gguf: Path) -> None:
    records: list[Record] = []
    scheduler = Scheduler(account=records.append)
    async with leased(scheduler, demo_gguf):
        pass
    with pytest.raises(ZeroDivisionError):
        async with leased(scheduler, demo_gguf):
            _ = 1 / 0
    await scheduler.close()

    ends = [record.ending.how for record in records if isinstance(record, Usage)]
    assert ends == [End.FINISHED, End.FAILED]


async def test_one_that_is_not_let_in(demo_gguf: Path) -> None:
    records: list[Record] = []

    def admit(caller: Caller) -> None:
        raise QuotaSpent(caller.name, "5 tokens in 1 h", datetime.now(timezone.utc))

    scheduler = Scheduler(account=records.append, admit=admit)
    with pytest.raises(QuotaSpent, match="ada's quota of 5 tokens in 1 h is used up"):
        async with leased(scheduler, demo_gguf):
            raise AssertionError("it is let in")
    await scheduler.close()

    asked, used = records
    assert isinstance(asked, Asked)
    assert isinstance(used, Usage)
    assert used.ending.how is End.REFUSED


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
