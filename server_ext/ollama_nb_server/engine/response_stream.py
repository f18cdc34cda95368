"""What has come for one request and not been fetched; texts that pile up become one."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

from ollama_nb_server.engine.client import End, Ending
from ollama_nb_server.engine.messages import Cancelled, Delta, Embedded, Finished, Progress, Scored


class ResponseStream:
    """A mailbox of one reader. `ended` once its last message (or its failure) has arrived."""

    def __init__(self) -> None:
        self._progress: Progress | None = None  # the latest that nobody has fetched
        self._texts: list[Delta] = []
        self._last: Any = None
        self._error: Exception | None = None
        self._waiting: asyncio.Future[None] | None = None
        self._num_deltas = 0
        self._first_text_ns = 0
        self._failed: Ending | None = None
        self.ended = False

    def put(self, message: Any) -> None:
        """Add a message; any but a Delta or a Progress is the last one."""
        if isinstance(message, Progress):
            self._progress = message
        elif isinstance(message, Delta):
            self._texts.append(message)
            self._num_deltas += 1
            self._first_text_ns = self._first_text_ns or time.perf_counter_ns()
        else:
            self._last, self.ended = message, True
        self._notify()

    def fail(self, error: Exception, ending: Ending | None = None) -> None:
        """End with an error, after the texts that are there; nothing happens after the end.

        `ending` is what the worker said of it; without, the worker has died.
        """
        if not self.ended:
            self._error, self.ended = error, True
            self._failed = ending or Ending(End.DIED, 0, self._num_deltas)
            self._notify()

    async def get(self) -> Any:
        """The next message, waiting for it; all texts that have come are one Delta."""
        while not (self._progress or self._texts or self.ended):
            await self._news()
        progress, self._progress = self._progress, None
        if progress and not (self._texts or self.ended):
            return progress
        if self._texts:
            texts, self._texts = self._texts, []
            return texts[0] if len(texts) == 1 else _joined(texts)
        if self._error is not None:
            raise self._error
        return self._last

    async def wait_ended(self) -> None:
        """Wait for the last message (or the failure), whatever came before it."""
        while not self.ended:
            await self._news()

    def ending(self) -> Ending:
        """How the request ended; one that nobody waits for any more counts as cancelled."""
        return replace(self._failed or self._told_ending(), first_text_ns=self._first_text_ns)

    def _told_ending(self) -> Ending:
        match self._last:
            case Finished() as last:
                counts = last.prompt_count, last.eval_count, last.cached_count
                times = {"prompt_ns": last.prompt_ns, "eval_ns": last.eval_ns}
                return Ending(End.FINISHED, *counts, **times)
            case Scored(prompt_count=prompt, eval_count=scored, cached_count=cached):
                return Ending(End.FINISHED, prompt + scored, 0, cached)  # all of it has been read
            case Embedded(prompt_count=prompt):
                return Ending(End.FINISHED, prompt)
            case Cancelled(prompt_count=prompt, eval_count=generated, cached_count=cached):
                return Ending(End.CANCELLED, prompt, generated, cached)
        return Ending(End.CANCELLED, 0, self._num_deltas)

    async def _news(self) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting = future
        try:
            await future
        finally:
            self._waiting = None

    def _notify(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)


def _joined(texts: list[Delta]) -> Delta:
    pieces = tuple(piece for delta in texts for piece in delta.logprobs)
    return Delta(texts[0].id, "".join(delta.text for delta in texts), pieces)
