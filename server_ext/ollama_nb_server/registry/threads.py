"""Work on the disk beside the event loop, in a way that a cancelled download can rely on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


async def finished(function: Callable[..., T], *arguments: Any) -> T:
    """Run it in a thread. Cancelling waits until it has ended: nobody closes its file before.

    Cancelling it again changes nothing: a download that fails may be cancelled while its parts end.
    """
    running = asyncio.ensure_future(asyncio.to_thread(function, *arguments))
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
