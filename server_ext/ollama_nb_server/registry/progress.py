"""What a pull or a push tells while it works."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Any

EVERY_S = 0.06  # as often as Ollama


@dataclass(frozen=True, slots=True)
class Progress:
    """One line of news; `total` and `completed` in bytes, 0 where nothing is counted."""

    status: str
    digest: str = ""
    total: int = 0
    completed: int = 0


async def told(
    done: asyncio.Future[Any], now: Callable[[], Progress]
) -> AsyncGenerator[Progress, None]:
    """The state of something until it is done; how it ended, the caller asks itself."""
    while not done.done():
        await asyncio.wait({done}, timeout=EVERY_S)
        if not done.done():
            yield now()
