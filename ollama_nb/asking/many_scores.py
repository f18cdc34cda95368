"""Many requests for scores, a few at a time, on an event loop of a thread of its own.

A request has several prompts, which the engine computes side by side; the next request is there
when a slot is free. What becomes of scores is the caller's business.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
import weakref
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from ollama_nb.answers import statistics
from ollama_nb.answers.call_stats import CallStats
from ollama_nb.asking.score_request import NoScores, ScoreRequest
from ollama_nb.connection.current import current
from ollama_nb.connection.failures import translated
from ollama_nb.display.cell import running_cell
from ollama_nb.errors import (
    AnswerFailed,
    ModelNotFound,
    NoServer,
    OllamaNbError,
    ServerRefused,
    ServerWarning,
    ServerWentAway,
)
from ollama_nb.threads import thread_of_cell
from ollama_nb.warning import warn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import httpx

    from ollama_nb.asking.scores import Score
    from ollama_nb.connection.connection import Connection

    OnScores = Callable[[int, Sequence["Score | OllamaNbError"]], object]

# A server has 16 slots for a model at most, unless told otherwise: one request fills them, and the
# prompts of the next take those that become free.
PROMPTS_A_REQUEST = 16
IN_FLIGHT = 3
PREFERENCES_IN_FLIGHT = 20  # of a server without scores: a request a prompt
LOOK_S = 0.1  # how often `meanwhile` is called
# What would be said of all other prompts too.
FATAL = (ModelNotFound, NoServer, ServerRefused, ServerWentAway)
WITHOUT_SCORES = (
    "{} does not tell how likely answers are: the best one is what the model writes when it may "
    "write nothing but the choices, without probabilities (ollama_nb's own server tells them)"
)

_without_scores: weakref.WeakSet[Connection] = weakref.WeakSet()


@dataclass(slots=True)
class Ended:
    """How it ended: all asked, stopped by Ctrl-C, or by an error that would be all others' too."""

    stopped: bool = False
    fatal: OllamaNbError | None = None


def score_all(
    requests: Sequence[ScoreRequest],
    on_scores: OnScores,
    *,
    meanwhile: Callable[[], object] = lambda: None,
    headers: Mapping[str, str] | None = None,
) -> Ended:
    """Ask for the scores of all requests and hand them on as they come.

    Parameters
    ----------
    requests
        At most `PROMPTS_A_REQUEST` prompts each, so that Ctrl-C loses little.
    on_scores
        Called with a request's place and a score, or an error, for each of its prompts, by another
        thread than the caller's, one call at a time.
    meanwhile
        Called by the caller's thread, ten times a second and at the end.
    headers
        Of each request.

    Notes
    -----
    After Ctrl-C what was being asked is cancelled, at the server too.
    """
    run = _Run(requests, on_scores, headers or {})
    thread = thread_of_cell(run.run, "ollama_nb-scores")
    thread.start()
    try:
        while not run.done.wait(LOOK_S):
            meanwhile()
    except KeyboardInterrupt:
        run.ended.stopped = True
    finally:
        run.stop()
        thread.join()
    meanwhile()
    for sentence in run.warnings:
        warn(sentence, ServerWarning)
    if run.broken is not None:
        raise run.broken
    return run.ended


@dataclass(slots=True)
class _Run:
    """The work of `score_all`."""

    requests: Sequence[ScoreRequest]
    on_scores: OnScores
    headers: Mapping[str, str]
    ended: Ended = field(default_factory=Ended)
    warnings: dict[str, None] = field(default_factory=dict)
    done: threading.Event = field(default_factory=threading.Event)
    broken: BaseException | None = None  # an error that is no answer's, such as a full disk's
    _stopping: threading.Event = field(default_factory=threading.Event)
    _loop: asyncio.AbstractEventLoop | None = None
    _workers: list[asyncio.Task[None]] = field(default_factory=list)
    _clients: dict[Connection, httpx.AsyncClient] = field(default_factory=dict)
    _preferences: asyncio.Semaphore | None = None

    def run(self) -> None:
        """Ask all; the body of the thread."""
        try:
            asyncio.run(self._ask_all())
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

    async def _ask_all(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._preferences = asyncio.Semaphore(PREFERENCES_IN_FLIGHT)
        waiting = iter(range(len(self.requests)))
        number = min(IN_FLIGHT, len(self.requests))
        self._workers = [asyncio.ensure_future(self._work(waiting)) for _ in range(number)]
        if self._stopping.is_set():  # before there was a loop to tell
            self._cancel()
        try:
            results = await asyncio.gather(*self._workers, return_exceptions=True)
        finally:
            for client in self._clients.values():
                await client.aclose()
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def _work(self, waiting: Iterator[int]) -> None:
        try:
            for place in waiting:
                if self.ended.fatal is not None:
                    return
                self.on_scores(place, await self._outcomes(self.requests[place]))
        except Exception:
            self._cancel()
            raise

    async def _outcomes(self, request: ScoreRequest) -> Sequence[Score | OllamaNbError]:
        """Return what came of each prompt; where one makes a request fail, the others are asked."""
        try:
            return await self._answered(request)
        except AnswerFailed as error:
            if len(request.prompts) == 1:
                return [error]
            parts = [await self._outcomes(one) for one in request.alone()]
            return [outcome for part in parts for outcome in part]
        except OllamaNbError as error:
            if isinstance(error, FATAL):
                self.ended.fatal = error
            return [error] * len(request.prompts)

    async def _answered(self, request: ScoreRequest) -> Sequence[Score]:
        """Ask once; a server that went away is looked for once more."""
        try:
            return await self._asked(request)
        except ServerWentAway:
            return await self._asked(request)

    async def _asked(self, request: ScoreRequest) -> Sequence[Score]:
        connection = current()
        http = self._client(connection)
        with translated(connection, request.model), _recorded(request) as told:
            if connection not in _without_scores:
                try:
                    scores, answer = await request.scores(http, self.headers)
                except NoScores:
                    self._say_once(connection)
                else:
                    told |= answer
                    nb = answer.get("nb") or {}
                    self.warnings |= dict.fromkeys(nb.get("warnings") or ())
                    return scores
            assert self._preferences is not None
            return await request.preferences(http, self.headers, self._preferences)

    def _say_once(self, connection: Connection) -> None:
        if connection not in _without_scores:
            _without_scores.add(connection)
            self.warnings[WITHOUT_SCORES.format(connection.url)] = None

    def _client(self, connection: Connection) -> httpx.AsyncClient:
        if connection not in self._clients:
            self._clients[connection] = connection.async_http()
        return self._clients[connection]


@contextlib.contextmanager
def _recorded(request: ScoreRequest) -> Iterator[dict[str, Any]]:
    """Write a row of statistics, whatever comes of a call; what the server told goes in."""
    started_at, start_s = datetime.now(timezone.utc), time.perf_counter()
    told: dict[str, Any] = {}
    done_reason: str | None = "error"
    try:
        yield told
        done_reason = None
    except asyncio.CancelledError:
        done_reason = "interrupted"
        raise
    finally:
        elapsed_s = time.perf_counter() - start_s
        counts = {name: value for name, value in told.items() if name != "eval_count"}
        stats = CallStats.from_wire(counts, started_at=started_at, elapsed_s=elapsed_s)
        statistics.record("score", request.model, done_reason, stats, running_cell())
