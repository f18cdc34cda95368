"""Run a function that a model has called; one that is async, too, whatever loop is running."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import threading
from typing import TYPE_CHECKING, Any

from ollama_nb.threads import thread_of_cell

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence


def run(function: Callable[..., Any], positional: Sequence[Any], named: Mapping[str, Any]) -> Any:
    """Call a function and return its result, awaited if it wants to be."""
    result = function(*positional, **named)
    return _awaited(result) if inspect.isawaitable(result) else result


def _awaited(awaitable: Awaitable[Any]) -> Any:
    """Await on a loop of its own thread: a kernel's thread runs one, which waits for this cell.

    Ctrl-C cancels it.
    """
    outcome = _Outcome(awaitable)
    thread = thread_of_cell(outcome.run, "ollama_nb-tool", daemon=False)
    try:
        thread.start()
        outcome.wait()  # not `join`, which, once interrupted, takes the thread for a stopped one
    except KeyboardInterrupt:
        outcome.cancel()
        if thread.ident is not None:  # it has begun
            outcome.wait()
        raise
    thread.join()
    return outcome.value()


class _Outcome:
    """What came of an awaitable that another thread awaits."""

    def __init__(self, awaitable: Awaitable[Any]) -> None:
        self._ended = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._task: asyncio.Future[Any] = asyncio.ensure_future(_await(awaitable), loop=self._loop)

    def run(self) -> None:
        try:
            self._loop.run_until_complete(asyncio.wait([self._task]))
        finally:
            self._loop.close()
            self._ended.set()

    def wait(self) -> None:
        self._ended.wait()

    def cancel(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: it has just ended
            self._loop.call_soon_threadsafe(self._task.cancel)

    def value(self) -> Any:
        return self._task.result()


async def _await(awaitable: Awaitable[Any]) -> Any:
    return await awaitable
