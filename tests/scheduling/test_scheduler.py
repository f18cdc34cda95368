"""The asyncio shell with real workers of the bundled model."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio
from ollama_nb_server.engine.errors import LoadFailed, NotEnoughMemory, WorkerDied
from ollama_nb_server.engine.messages import (
    Finished,
    Generate,
    LoadSpec,
    SamplingParams,
    TextSegment,
)
from ollama_nb_server.engine.process import Worker
from ollama_nb_server.scheduling.errors import ShuttingDown
from ollama_nb_server.scheduling.scheduler import Lease, Scheduler


@pytest_asyncio.fixture
async def scheduler() -> AsyncIterator[Scheduler]:
    scheduler = Scheduler(max_loaded=1)
    yield scheduler
    await scheduler.close()


@pytest.fixture
def spec(demo_gguf: Path) -> LoadSpec:
    return LoadSpec(str(demo_gguf), num_ctx=256, num_parallel=2)


async def gone(scheduler: Scheduler) -> None:
    deadline = asyncio.get_running_loop().time() + 10
    for _ in iter(scheduler.running, []):
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.01)


async def say(lease: Lease, num_predict: int = 4) -> Finished:
    request = Generate(
        lease.worker.new_id(),
        (TextSegment("Once"),),
        SamplingParams(seed=1, temperature=0),
        num_predict,
    )
    events = [event async for event in lease.worker.generate(request)]
    assert isinstance(events[-1], Finished)
    return events[-1]


async def test_a_lease_is_a_worker_that_answers(scheduler: Scheduler, spec: LoadSpec) -> None:
    async with scheduler.lease(spec, label="demo") as lease:
        finished = await say(lease)

    assert finished.eval_count == 4
    assert lease.load_ns > 0


async def test_two_leases_share_one_worker(scheduler: Scheduler, spec: LoadSpec) -> None:
    async with scheduler.lease(spec, label="a") as one, scheduler.lease(spec, label="b") as two:
        assert one.worker is two.worker


async def test_running_shows_what_is_loaded(scheduler: Scheduler, spec: LoadSpec) -> None:
    async with scheduler.lease(spec, label="demo"):
        (running,) = scheduler.running()

    assert running.label == "demo"
    assert running.num_ctx == 256
    assert running.size_bytes > 0


async def test_keep_alive_zero_unloads_when_the_lease_ends(
    scheduler: Scheduler, spec: LoadSpec
) -> None:
    async with scheduler.lease(spec, label="demo", keep_alive=0.0):
        pass

    await gone(scheduler)


async def test_a_short_keep_alive_ends_by_itself(scheduler: Scheduler, spec: LoadSpec) -> None:
    async with scheduler.lease(spec, label="demo", keep_alive=0.2):
        pass

    await gone(scheduler)


async def test_unload_stops_the_process(scheduler: Scheduler, spec: LoadSpec) -> None:
    async with scheduler.lease(spec, label="demo") as lease:
        pid = lease.worker.pid
    scheduler.unload(spec.model_path)
    await gone(scheduler)
    await lease.worker.wait_dead()

    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_killed_worker_fails_its_request_and_is_replaced(
    scheduler: Scheduler, spec: LoadSpec
) -> None:
    async with scheduler.lease(spec, label="demo") as lease:
        os.kill(lease.worker.pid, signal.SIGKILL)
        with pytest.raises(WorkerDied):
            await say(lease, 200)

    async with scheduler.lease(spec, label="demo") as second:
        assert (await say(second)).eval_count == 4
        assert second.worker is not lease.worker


async def test_a_file_that_cannot_be_loaded_is_an_error_and_the_next_load_works(
    scheduler: Scheduler, spec: LoadSpec, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(100))

    with pytest.raises(LoadFailed):
        async with scheduler.lease(LoadSpec(str(broken)), label="broken"):
            pass
    async with scheduler.lease(spec, label="demo") as lease:
        assert (await say(lease)).eval_count == 4


async def test_a_second_model_takes_the_place_of_an_idle_one(
    scheduler: Scheduler, spec: LoadSpec, tmp_path: Path, demo_gguf: Path
) -> None:
    other = tmp_path / "other.gguf"
    other.write_bytes(demo_gguf.read_bytes())
    async with scheduler.lease(spec, label="demo"):
        pass

    async with scheduler.lease(LoadSpec(str(other), num_ctx=256, num_parallel=1), label="other"):
        assert [r.label for r in scheduler.running()] == ["other"]


async def test_a_load_that_fails_for_memory_takes_that_of_an_idle_model(
    spec: LoadSpec, tmp_path: Path, demo_gguf: Path
) -> None:
    """The worker is a real one; that memory is short beside another one is told to it."""
    other = tmp_path / "other.gguf"
    other.write_bytes(demo_gguf.read_bytes())
    tried: list[tuple[str, bool]] = []

    async def start(wanted: LoadSpec, progress: Callable[[float], None]) -> Worker:
        tried.append((wanted.model_path, wanted.whole))
        if wanted.whole:
            raise NotEnoughMemory(wanted.model_path, "failed to allocate")
        return await Worker.start(wanted, progress)

    scheduler = Scheduler(start_worker=start)
    async with scheduler.lease(spec, label="demo"):
        pass
    async with scheduler.lease(replace(spec, model_path=str(other)), label="other") as lease:
        assert (await say(lease)).eval_count == 4
        assert [running.label for running in scheduler.running()] == ["other"]
    await scheduler.close()

    assert tried == [(str(demo_gguf), False), (str(other), True), (str(other), False)]


async def test_what_is_loaded_counts_with_the_slots_that_it_has_made_since(
    scheduler: Scheduler, spec: LoadSpec
) -> None:
    async with scheduler.lease(replace(spec, num_parallel=8), label="demo") as lease:
        (before,) = scheduler.running()
        await asyncio.gather(*(say(lease, 40) for _ in range(8)))
        expected = before.size_bytes + 4 * lease.info.slot_bytes
        deadline = asyncio.get_running_loop().time() + 20
        while scheduler.running()[0].size_bytes != expected:
            assert asyncio.get_running_loop().time() < deadline, scheduler.running()
            await asyncio.sleep(0.01)


async def test_a_client_that_leaves_while_loading_stops_the_load(
    scheduler: Scheduler, spec: LoadSpec
) -> None:
    async def wait() -> None:
        async with scheduler.lease(spec, label="demo"):
            raise AssertionError("granted before it was cancelled")

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    async with scheduler.lease(spec, label="demo") as lease:
        assert (await say(lease)).eval_count == 4


async def test_after_close_nobody_gets_a_worker(scheduler: Scheduler, spec: LoadSpec) -> None:
    await scheduler.close()

    with pytest.raises(ShuttingDown):
        async with scheduler.lease(spec, label="demo"):
            pass
