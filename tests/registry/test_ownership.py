"""Who may write a partial file: the lock goes with whoever is cancelled, whenever that is."""

from __future__ import annotations

import asyncio
import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from far import QUICK, Far, digest_of, stall
from filelock import FileLock
from ollama_nb_server.library.digests import Digest
from ollama_nb_server.registry.errors import DownloadStuck
from ollama_nb_server.registry.ownership import FOLDER, Ownership
from ollama_nb_server.registry.parts import PartFiles
from ollama_nb_server.registry.threads import finished

DIGEST = Digest("a" * 64)


class SlowLock(FileLock):
    """A lock on a disk that does not answer before it is told to."""

    asked, answers = threading.Event(), threading.Event()

    def acquire(self, *arguments: Any, **named: Any) -> Any:
        self.asked.set()
        assert self.answers.wait(10)
        return super().acquire(*arguments, **named)


@pytest.fixture
def files(tmp_path: Path) -> PartFiles:
    return PartFiles(tmp_path / DIGEST.filename)


def is_free(path: Path) -> bool:
    path.touch()
    lock = FileLock(path)
    with lock.acquire(blocking=False):
        return lock.is_locked


async def test_whoever_is_cancelled_while_taking_the_lock_does_not_keep_it(
    tmp_path: Path, files: PartFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reference to it is kept here, so that no garbage collection gives the lock back."""
    monkeypatch.setattr("ollama_nb_server.registry.ownership.FileLock", SlowLock)
    owner = Ownership(tmp_path, DIGEST, files, QUICK)

    async def own() -> None:
        async with owner.held(lambda: True):
            raise AssertionError("cancelled before")

    task = asyncio.ensure_future(own())
    assert await asyncio.to_thread(SlowLock.asked.wait, 10)
    task.cancel()
    await asyncio.sleep(0)
    SlowLock.answers.set()
    await asyncio.wait({task})

    assert task.cancelled()
    assert not owner._lock.is_locked
    assert is_free(tmp_path / FOLDER / f"{DIGEST.hex}.lock")


async def test_a_mark_that_cannot_be_left_keeps_no_lock(tmp_path: Path, files: PartFiles) -> None:
    owner = Ownership(tmp_path, DIGEST, files, QUICK)
    path = tmp_path / FOLDER / f"{DIGEST.hex}.lock"

    async with owner.held(lambda: True):
        files.data.write_bytes(b"begun")
        path.unlink()  # by somebody who tidies up: there is nothing to set a time on

    assert not owner._lock.is_locked


async def test_cancelling_twice_still_waits_for_the_thread() -> None:
    begun, may_end, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        may_end.wait(10)
        ended.set()

    task = asyncio.ensure_future(finished(work))
    assert await asyncio.to_thread(begun.wait, 10)
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
    assert not task.done()
    may_end.set()
    await asyncio.wait({task})

    assert task.cancelled()
    assert ended.is_set()


async def test_a_download_that_hangs_elsewhere_is_said(far: Far, make_here) -> None:
    here, name = make_here(limits=replace(QUICK, stuck_s=0.3)), far.publish(b"w")
    lock = here.store.root / FOLDER / f"{digest_of(b'w')[7:]}.lock"
    lock.parent.mkdir(parents=True)

    with FileLock(lock), pytest.raises(DownloadStuck, match=f"`fuser {lock}` tells its number"):
        await here.pulled(name)

    assert (await here.pulled(name))[-1].status == "success"


async def test_a_download_that_goes_on_elsewhere_is_waited_for(
    tmp_path: Path, files: PartFiles
) -> None:
    limits = replace(QUICK, stuck_s=0.5)
    elsewhere, here = (Ownership(tmp_path, DIGEST, files, limits) for _ in range(2))
    changes = iter(range(1, 15))

    def goes_on() -> bool:
        """Another 100 KB come to the other one, until it is left."""
        files.data.write_bytes(b"x")
        os.utime(files.data, (0, change := next(changes, 0)))
        return change != 0

    async with elsewhere.held(lambda: True), here.held(goes_on):
        assert next(changes, None) is None


async def test_a_pull_that_is_left_gives_its_locks_back(far: Far, here) -> None:
    weights = os.urandom(1000)
    far.misbehave("GET", digest_of(weights), stall(10), times=99)
    news = here.pull(far.publish(weights))
    lock = here.store.root / FOLDER / f"{digest_of(weights)[7:]}.lock"
    async for _ in news:
        if lock.exists():
            break
    await news.aclose()
    await here.transfers.close()

    assert is_free(lock)
