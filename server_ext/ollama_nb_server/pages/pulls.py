"""Downloads that were begun on the page: they go on when it is closed, and it tells how far."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import aclosing

from ollama_nb_server.answering.app_context import AppContext
from ollama_nb_server.answering.transfer import pull
from ollama_nb_server.wire.errors import KNOWN, describe
from ollama_nb_server.wire.models import ProgressResponse, PullRequest

MAX_TOLD = 20  # of those that are over


class Pulls:
    """All of a server's life, the last ones told of."""

    def __init__(self) -> None:
        self._told: dict[str, str] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def begin(self, app: AppContext, name: str) -> None:
        """Begin one, unless it runs."""
        if name not in self._tasks:
            self._told.pop(name, None)
            self._told[name] = "begins"
            task = asyncio.get_running_loop().create_task(self._run(app, name))
            self._tasks[name] = task
            task.add_done_callback(lambda _: self._tasks.pop(name, None))
            self._forget()

    def stop(self, name: str) -> None:
        """Stop one; what has come stays, and the next one goes on with it."""
        if task := self._tasks.get(name):
            task.cancel()

    def told(self) -> Iterator[tuple[str, str]]:
        """The name and the state of each."""
        yield from self._told.items()

    def runs(self, name: str) -> bool:
        """Whether it is under way."""
        return name in self._tasks

    async def close(self) -> None:
        """Stop them all."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, app: AppContext, name: str) -> None:
        try:
            stream = await pull(app, PullRequest(model=name, stream=True))
            assert not isinstance(stream, ProgressResponse)
            async with aclosing(stream.answers) as lines:
                async for line in lines:
                    self._told[name] = _in_words(line)
        except KNOWN as error:
            _, sentence = describe(error, "pull") or (500, str(error))
            self._told[name] = f"failed: {sentence}"
        except asyncio.CancelledError:
            self._told[name] = "stopped"
            raise

    def _forget(self) -> None:
        over = [name for name in self._told if name not in self._tasks]
        for name in over[: max(len(over) - MAX_TOLD, 0)]:
            del self._told[name]


def _in_words(line: ProgressResponse) -> str:
    if not line.total:
        return line.status
    return f"{line.status}: {100 * line.completed // line.total} %"
