"""Many questions at once, so that the engine computes them together.

What is asked is a `Request`; what becomes of an answer is the caller's business.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ollama_nb.asking.streaming import Arriving
from ollama_nb.connection.bodies import as_json
from ollama_nb.connection.current import current
from ollama_nb.connection.failures import translated
from ollama_nb.errors import (
    ModelNotFound,
    NoServer,
    OllamaNbError,
    ServerRefused,
    ServerWentAway,
)
from ollama_nb.threads import thread_of_cell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import httpx

    from ollama_nb.answers.generation import Generation
    from ollama_nb.asking.request import Request
    from ollama_nb.connection.connection import Connection

# A server gives a model 16 slots at most unless told otherwise; a few more requests wait, so that
# none of the slots is empty while an answer is on its way.
IN_FLIGHT = 20
LOOK_S = 0.1  # how often `meanwhile` is called
# Nobody sits and waits for one of many answers: a chat beside them goes first.
PRIORITY = {"X-Ollama-Nb-Priority": "batch"}
# What would be said of all other questions too.
FATAL = (ModelNotFound, NoServer, ServerRefused, ServerWentAway)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one question: an answer, or why there is none."""

    answer: Generation | None = None
    error: OllamaNbError | None = None


@dataclass(slots=True)
class Outcomes:
    """What came of many questions.

    Attributes
    ----------
    of
        An outcome for each question, in their order; None for one that was not asked, or whose
        answer was not finished.
    stopped
        Whether Ctrl-C ended it.
    fatal
        The error after which no more were asked, because it would be all others' too.
    """

    of: list[Outcome | None]
    stopped: bool = False
    fatal: OllamaNbError | None = None


def ask_many(
    requests: Sequence[Request],
    *,
    on_outcome: Callable[[Outcome, Sequence[int]], object] = lambda *_: None,
    meanwhile: Callable[[], object] = lambda: None,
    in_flight: int = IN_FLIGHT,
) -> Outcomes:
    """Ask many questions, equal ones once, and return what came of each.

    Parameters
    ----------
    requests
        The questions.
    on_outcome
        Called as soon as a question is answered, or cannot be, with the places of all questions
        that this was; by another thread than the caller's, one call at a time.
    meanwhile
        Called by the caller's thread, ten times a second and at the end.
    in_flight
        How many questions are asked at the same time.

    Returns
    -------
    Outcomes
        After Ctrl-C those so far: what was being answered then is cancelled, at the server too.
    """
    asking = _Asking(requests, on_outcome)
    thread = thread_of_cell(lambda: asking.run(in_flight), "ollama_nb-many")
    thread.start()
    try:
        while not asking.done.wait(LOOK_S):
            meanwhile()
    except KeyboardInterrupt:
        asking.result.stopped = True
    finally:
        asking.stop()
        thread.join()
    meanwhile()
    if asking.broken is not None:
        raise asking.broken
    return asking.result


@dataclass(slots=True)
class _Asking:
    """The work of `ask_many`, on an event loop of its own thread."""

    requests: Sequence[Request]
    on_outcome: Callable[[Outcome, Sequence[int]], object]
    result: Outcomes = field(init=False)
    done: threading.Event = field(default_factory=threading.Event)
    broken: BaseException | None = None  # an error that is no answer's, such as a full disk's
    _stopping: threading.Event = field(default_factory=threading.Event)
    _loop: asyncio.AbstractEventLoop | None = None
    _workers: list[asyncio.Task[None]] = field(default_factory=list)
    _clients: dict[Connection, httpx.AsyncClient] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.result = Outcomes([None] * len(self.requests))

    def run(self, in_flight: int) -> None:
        """Ask all; the body of the thread."""
        try:
            asyncio.run(self._ask_all(in_flight))
        except BaseException as error:
            self.broken = error
        finally:
            self.done.set()

    def stop(self) -> None:
        """Cancel what is being asked, from any thread; nothing happens if all is done."""
        self._stopping.set()
        if self._loop is not None and not self.done.is_set():
            with contextlib.suppress(RuntimeError):  # its loop has just ended by itself
                self._loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        for worker in self._workers:
            worker.cancel()

    async def _ask_all(self, in_flight: int) -> None:
        waiting = iter(_equal_ones(self.requests))
        self._loop = asyncio.get_running_loop()
        self._workers = [
            asyncio.ensure_future(self._work(waiting))
            for _ in range(min(in_flight, len(self.requests)))
        ]
        if self._stopping.is_set():  # before there was a loop to tell
            self._cancel()
        try:
            await self._finished()
        finally:
            for client in self._clients.values():
                await client.aclose()

    async def _finished(self) -> None:
        """Wait for all workers; the error of one ends the others."""
        results = await asyncio.gather(*self._workers, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def _work(self, waiting: Iterator[list[int]]) -> None:
        """Ask one question after another."""
        try:
            for places in waiting:
                if self.result.fatal is not None:
                    return
                outcome = await self._outcome(self.requests[places[0]])
                self._note(outcome, places)
        except Exception:
            self._cancel()
            raise

    def _note(self, outcome: Outcome, places: list[int]) -> None:
        if isinstance(outcome.error, FATAL):
            self.result.fatal = outcome.error
        for place in places:
            self.result.of[place] = outcome
        self.on_outcome(outcome, places)

    async def _outcome(self, request: Request) -> Outcome:
        try:
            return Outcome(answer=await self._answer(request))
        except OllamaNbError as error:
            return Outcome(error=error)

    async def _answer(self, request: Request) -> Generation:
        """Ask one question; a server that went away is looked for once more."""
        try:
            return await self._asked(request)
        except ServerWentAway:
            return await self._asked(request)

    async def _asked(self, request: Request) -> Generation:
        connection = current()
        unheeded = request.unheeded(connection.extensions)
        arriving = Arriving(request, warnings=unheeded, is_streamed=False)
        done_reason: str | None = "error"
        try:
            with translated(connection, request.model):
                http, known = self._client(connection), connection.extensions
                arriving.add(await request.whole(http, known=known, headers=PRIORITY))
            done_reason = None
        except asyncio.CancelledError:
            done_reason = "interrupted"
            raise
        finally:
            answer = arriving.finish(done_reason)  # what was cancelled is in the statistics too
        return answer

    def _client(self, connection: Connection) -> httpx.AsyncClient:
        if connection not in self._clients:
            self._clients[connection] = connection.async_http()
        return self._clients[connection]


def _equal_ones(requests: Iterable[Request]) -> list[list[int]]:
    """Return the places of equal questions together, in the order of their first ones."""
    places: dict[str, list[int]] = {}
    for place, request in enumerate(requests):
        question = as_json([request.model, request.question])
        places.setdefault(question, []).append(place)
    return list(places.values())
