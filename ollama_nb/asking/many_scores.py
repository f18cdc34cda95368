"""Many requests for scores, a few at a time, on an event loop of a thread of its own.

A request has several prompts, which the engine computes side by side; the next request is there
when a slot is free. What becomes of scores is the caller's business.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import weakref
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from ollama_nb.answers import statistics
from ollama_nb.answers.call_stats import CallStats
from ollama_nb.asking.many import FATAL
from ollama_nb.asking.score_request import NoScores, ScoreRequest
from ollama_nb.asking.workers import Workers
from ollama_nb.connection.calling import once_more_async
from ollama_nb.connection.current import current
from ollama_nb.connection.failures import translated
from ollama_nb.display.cell import running_cell
from ollama_nb.errors import (
    AnswerFailed,
    OllamaNbError,
    ServerWarning,
)
from ollama_nb.warning import warn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ollama_nb.asking.scores import Score
    from ollama_nb.connection.connection import Connection

    OnScores = Callable[[int, Sequence["Score | OllamaNbError"]], object]

# A server has 16 slots for a model at most, unless told otherwise: one request fills them, and the
# prompts of the next take those that become free.
PROMPTS_A_REQUEST = 16
IN_FLIGHT = 3
PREFERENCES_IN_FLIGHT = 20  # of a server without scores: a request a prompt
BUSY = (429, 503)  # that is not one prompt's fault
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
    run.ended.stopped = run.workers.run(meanwhile)
    for sentence in run.warnings:
        warn(sentence, ServerWarning)
    return run.ended


class _Run:
    """The work of `score_all`."""

    def __init__(
        self, requests: Sequence[ScoreRequest], on_scores: OnScores, headers: Mapping[str, str]
    ) -> None:
        self._requests, self._on_scores, self._headers = requests, on_scores, headers
        self.ended = Ended()
        self.warnings: dict[str, None] = {}
        self._preferences = asyncio.Semaphore(PREFERENCES_IN_FLIGHT)
        number = min(IN_FLIGHT, len(requests))
        self.workers = Workers(self._work, iter(range(len(requests))), number)

    async def _work(self, place: int) -> bool:
        """Ask for the scores of one request; tell whether others are worth asking."""
        self._on_scores(place, await self._outcomes(self._requests[place]))
        return self.ended.fatal is None

    async def _outcomes(self, request: ScoreRequest) -> Sequence[Score | OllamaNbError]:
        """Return what came of each prompt; where one makes a request fail, the others are asked."""
        try:
            return await self._answered(request)
        except AnswerFailed as error:
            if len(request.prompts) == 1 or error.status in BUSY:
                return [error] * len(request.prompts)
            parts = [await self._outcomes(one) for one in request.alone()]
            return [outcome for part in parts for outcome in part]
        except OllamaNbError as error:
            if isinstance(error, FATAL):
                self.ended.fatal = error
            return [error] * len(request.prompts)

    async def _answered(self, request: ScoreRequest) -> Sequence[Score]:
        """Ask once; a server that went away is looked for once more."""
        return await once_more_async(lambda: self._asked(request))

    async def _asked(self, request: ScoreRequest) -> Sequence[Score]:
        connection = current()
        http = self.workers.client(connection)
        with translated(connection, request.model), _recorded(request) as told:
            if connection not in _without_scores:
                try:
                    scores, answer = await request.scores(http, self._headers)
                except NoScores:
                    self._say_once(connection)
                else:
                    told |= answer
                    nb = answer.get("nb") or {}
                    self.warnings |= dict.fromkeys(nb.get("warnings") or ())
                    return scores
            return await request.preferences(http, self._headers, self._preferences)

    def _say_once(self, connection: Connection) -> None:
        if connection not in _without_scores:
            _without_scores.add(connection)
            self.warnings[WITHOUT_SCORES.format(connection.url)] = None


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
