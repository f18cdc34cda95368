"""Work on the disk beside the event loop, in a way that a cancelled download can rely on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")

# Not those of other requests: the parts of a large download would keep them all busy. Writing a
# manifest may wait for the store's lock, and that must not hold the parts of other downloads up.
DISK = ThreadPoolExecutor(16, "transfers")
STORE = ThreadPoolExecutor(16, "transfers-store")


async def in_thread(
    function: Callable[..., T], *arguments: Any, executor: ThreadPoolExecutor = DISK
) -> T:
    """Run it in a thread."""
    return await asyncio.get_running_loop().run_in_executor(executor, function, *arguments)


async def finished(function: Callable[..., T], *arguments: Any) -> T:
    """Run it in a thread. Cancelling waits until it has ended: nobody closes its file before.

    Cancelling it again changes nothing: a download that fails may be cancelled while its parts end.
    """
    running = asyncio.ensure_future(in_thread(function, *arguments))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        while not running.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait({running})
        raise


async def together(*jobs: Coroutine[Any, Any, None]) -> None:
    """Run them side by side; the first failure ends the others, and all have ended afterwards."""
    tasks = [asyncio.ensure_future(job) for job in jobs]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
