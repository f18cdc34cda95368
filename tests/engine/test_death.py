"""Real processes, real signals, real broken files."""

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
import textwrap
import time

import psutil
import pytest
from ollama_nb_server.engine.errors import LoadFailed, WorkerDied
from ollama_nb_server.engine.messages import (
    Delta,
    Embed,
    Finished,
    Generate,
    LoadSpec,
    SamplingParams,
    TextSegment,
)
from ollama_nb_server.engine.process import Worker

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")

GREEDY = SamplingParams(seed=1, temperature=0)
ENDLESS = SamplingParams(seed=1, temperature=2.0)


async def until(condition, deadline_s: float = 10.0):
    """The first true value of `condition()`."""
    end = time.monotonic() + deadline_s
    while not (value := condition()):
        assert time.monotonic() < end, "waited too long"
        await asyncio.sleep(0.002)
    return value


def loading() -> list[psutil.Process]:
    """Workers of this process; one that has just died has no command line any more."""
    return [c for c in psutil.Process().children() if "engine.worker" in " ".join(command(c))]


def command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except (psutil.ZombieProcess, psutil.NoSuchProcess):
        return []


async def drain(events):
    return [event async for event in events]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGILL])
async def test_a_worker_that_is_killed_fails_its_requests_with_the_cause(worker, number):
    answers = [
        worker.generate(
            Generate(worker.new_id(), (TextSegment("Once"),), ENDLESS, -1, stop=("\0",))
        )
        for _ in "ab"
    ]
    for answer in answers:
        assert isinstance(await anext(answer), Delta)

    os.kill(worker.pid, number)

    for answer in answers:
        with pytest.raises(WorkerDied, match=number.name) as death:
            await asyncio.wait_for(drain(answer), 10)
        assert (death.value.signal, death.value.loading) == (number, False)
    assert not worker.alive
    with pytest.raises(WorkerDied, match=number.name):
        await worker.embed(Embed(worker.new_id(), ("a",)))
    assert await worker.wait_dead() is death.value


async def test_requests_between_a_death_and_its_news_do_not_hang(worker):
    os.kill(worker.pid, signal.SIGKILL)
    psutil.Process(worker.pid).wait(10)  # without the event loop, which has not heard of it then

    with pytest.raises(WorkerDied):
        await asyncio.wait_for(worker.tokenize("a"), 10)


@pytest.mark.parametrize("number", [signal.SIGILL, signal.SIGSEGV])
async def test_a_crash_while_loading_is_tried_once_without_extra_buffers(demo_gguf, number):
    starting = asyncio.create_task(Worker.start(LoadSpec(str(demo_gguf), num_ctx=128)))
    (child,) = await until(loading)
    child.send_signal(number)

    worker = await starting

    try:
        assert worker.pid != child.pid
        assert not worker.spec.use_extra_bufts
        assert number.name in worker.info.warnings[0]
    finally:
        await worker.stop()


async def test_a_second_crash_while_loading_is_the_end(demo_gguf):
    starting = asyncio.create_task(Worker.start(LoadSpec(str(demo_gguf), num_ctx=128)))
    (first,) = await until(loading)
    first.send_signal(signal.SIGILL)
    (second,) = await until(lambda: [c for c in loading() if c.pid != first.pid])
    second.send_signal(signal.SIGILL)

    with pytest.raises(WorkerDied, match="SIGILL") as death:
        await starting

    assert death.value.loading


async def test_a_load_that_is_killed_is_not_tried_again(demo_gguf):
    starting = asyncio.create_task(Worker.start(LoadSpec(str(demo_gguf), num_ctx=128)))
    (child,) = await until(loading)
    child.kill()

    with pytest.raises(WorkerDied, match="memory"):
        await starting


async def test_a_cancelled_load_leaves_no_process(demo_gguf):
    starting = asyncio.create_task(Worker.start(LoadSpec(str(demo_gguf), num_ctx=128)))
    (child,) = await until(loading)
    starting.cancel()

    with contextlib.suppress(asyncio.CancelledError):
        await starting

    assert not psutil.pid_exists(child.pid)


async def test_a_load_that_takes_too_long_is_ended(demo_gguf):
    with pytest.raises(LoadFailed, match=r"0\.01 s"):
        await Worker.start(LoadSpec(str(demo_gguf)), timeout_s=0.01)

    assert not loading()


def zero_bytes(whole: bytes) -> bytes:
    return b""


def cut_in_the_header(whole: bytes) -> bytes:
    return whole[:200]


def cut_in_the_tensors(whole: bytes) -> bytes:
    return whole[: len(whole) // 2]


def random_bytes(whole: bytes) -> bytes:
    return random.Random(1).randbytes(4096)


def random_after_the_magic(whole: bytes) -> bytes:
    return b"GGUF\x03\x00\x00\x00" + random.Random(2).randbytes(4096)


@pytest.mark.parametrize(
    "damage",
    [zero_bytes, cut_in_the_header, cut_in_the_tensors, random_bytes, random_after_the_magic],
    ids=lambda damage: damage.__name__,
)
async def test_a_broken_file_is_an_error_and_leaves_nothing_running(demo_gguf, tmp_path, damage):
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(damage(demo_gguf.read_bytes()))

    with pytest.raises(LoadFailed) as refusal:
        await Worker.start(LoadSpec(str(broken)))

    assert refusal.value.model_path == str(broken)
    assert len(refusal.value.reason) > 10
    assert not loading()


async def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(LoadFailed, match="nothing"):
        await Worker.start(LoadSpec(str(tmp_path / "nothing.gguf")))


async def test_a_broken_adapter_is_an_error(demo_gguf, tmp_path):
    adapter = tmp_path / "adapter.gguf"
    adapter.write_bytes(b"no adapter")

    with pytest.raises(LoadFailed, match="adapter"):
        await Worker.start(LoadSpec(str(demo_gguf), (str(adapter),), num_ctx=64))


async def test_stop_ends_the_process_and_may_be_called_again(worker):
    await asyncio.gather(worker.stop(), worker.stop())
    await worker.stop()

    assert not psutil.pid_exists(worker.pid)
    assert not worker.alive


async def test_a_worker_ends_with_its_parent(demo_gguf):
    program = f"""
        import asyncio
        from ollama_nb_server.engine.messages import LoadSpec
        from ollama_nb_server.engine.process import Worker

        async def main():
            worker = await Worker.start(LoadSpec({str(demo_gguf)!r}, num_ctx=64))
            print(worker.pid, flush=True)
            await asyncio.sleep(60)

        asyncio.run(main())
    """
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", textwrap.dedent(program), stdout=subprocess.PIPE
    )
    pid = int(await parent.stdout.readline())
    parent.kill()
    await parent.communicate()

    await until(lambda: not psutil.pid_exists(pid))


async def test_what_a_worker_said_before_it_was_killed_arrives(worker):
    """Here it had said everything, and nobody had read any of it yet."""
    request = Generate(worker.new_id(), (TextSegment("Once"),), GREEDY, 200, logprobs=20)
    told = worker.generate(request)
    first = await anext(told)
    process = psutil.Process(worker.pid)
    while process.cpu_percent(0.3) > 1:  # without the event loop, which reads nothing meanwhile
        pass
    os.kill(worker.pid, signal.SIGKILL)
    process.wait(10)

    events = [first, *await asyncio.wait_for(drain(told), 10)]

    *deltas, finished = events
    assert isinstance(finished, Finished)
    assert sum(len(delta.logprobs) for delta in deltas) >= finished.eval_count - 1  # without EOS
