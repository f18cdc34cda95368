"""Many calls, a few at a time, on an event loop of a thread of its own; Ctrl-C cancels them.

What a call is, and what becomes of its answer, is said by `many` and `many_scores`.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from ollama_nb.connection.patience import pause
from ollama_nb.threads import thread_of_cell

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    import httpx

    from ollama_nb.connection.connection import Connection

LOOK_S = 0.1  # how often `meanwhile` is called

T = TypeVar("T")


@dataclass(slots=True)
class Workers(Generic[T]):
    """Take items, one after another, and work on some at the same time.

    Attributes
    ----------
    work
        Done with each item; False ends all when those under way are done. An error that it raises
        ends all at once.
    items
        Each is taken by one worker.
    number
        How many work at the same time.
    """

    work: Callable[[T], Coroutine[None, None, bool]]
    items: Iterator[T]
    number: int
    _done: threading.Event = field(default_factory=threading.Event)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _is_over: bool = False
    _broken: BaseException | None = None
    _loop: asyncio.AbstractEventLoop | None = None
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _clients: dict[Connection, httpx.AsyncClient] = field(default_factory=dict)

    def run(self, meanwhile: Callable[[], object]) -> bool:
        """Work until all is done, and return whether Ctrl-C has ended it.

        `meanwhile` is called by the caller's thread, ten times a second and at the end. What was
        under way at Ctrl-C is cancelled, at the server too.
        """
        thread = thread_of_cell(self._run, "ollama_nb-many")
        is_stopped = False
        try:
            thread.start()  # in here too Ctrl-C may come
            while not self._done.wait(LOOK_S):
                meanwhile()
        except KeyboardInterrupt:
            is_stopped = True
        finally:
            self._stop()
            if thread.ident is not None:
                self._done.wait()
                thread.join()
        meanwhile()
        if self._broken is not None:
            raise self._broken
        return is_stopped

    def client(self, connection: Connection) -> httpx.AsyncClient:
        """Return the client of all calls to a server; it is closed when all is done."""
        if connection not in self._clients:
            self._clients[connection] = connection.async_http()
        return self._clients[connection]

    def _run(self) -> None:
        """Work; the body of the thread."""
        pause.set(self._pause)
        try:
            asyncio.run(self._work_all())
        except BaseException as error:
            self._broken = error
        finally:
            self._done.set()

    def _stop(self) -> None:
        """Cancel what is under way, from any thread; nothing happens if all is done."""
        self._stopping.set()
        if self._loop is not None and not self._done.is_set():
            with contextlib.suppress(RuntimeError):  # its loop has just ended by itself
                self._loop.call_soon_threadsafe(self._cancel)

    def _pause(self, seconds: float) -> None:
        """Wait for a server that is away, where Ctrl-C does not reach: `_stop` ends it."""
        if self._stopping.wait(seconds):
            raise asyncio.CancelledError

    def _cancel(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _work_all(self) -> None:
        """Wait for all workers; the error of one ends the others."""
        self._loop = asyncio.get_running_loop()
        self._tasks = [asyncio.ensure_future(self._work_on()) for _ in range(self.number)]
        if self._stopping.is_set():  # before there was a loop to tell
            self._cancel()
        try:
            results = await asyncio.gather(*self._tasks, return_exceptions=True)
        finally:
            for client in self._clients.values():
                await client.aclose()
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def _work_on(self) -> None:
        try:
            for item in self.items:
                if self._is_over:
                    return
                if not await self.work(item):
                    self._is_over = True
        except Exception:
            self._cancel()
            raise
