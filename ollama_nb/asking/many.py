"""Many questions at once, so that the engine computes them together.

What is asked is a `Request`; what becomes of an answer is the caller's business.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ollama_nb.asking.streaming import Arriving
from ollama_nb.asking.workers import Workers
from ollama_nb.connection.bodies import as_json
from ollama_nb.connection.calling import once_more_async
from ollama_nb.connection.current import current
from ollama_nb.connection.failures import translated
from ollama_nb.connection.patience import BATCH, PRIORITY_HEADER
from ollama_nb.errors import (
    ModelNotFound,
    NoServer,
    OllamaNbError,
    QuotaSpent,
    ServerRefused,
    ServerWentAway,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Sequence

    from ollama_nb.answers.generation import Generation
    from ollama_nb.asking.request import Part, Request
    from ollama_nb.connection.connection import Connection

# A server gives a model 16 slots at most unless told otherwise; a few more requests wait, so that
# none of the slots is empty while an answer is on its way.
IN_FLIGHT = 20
INTERRUPTED = "interrupted"  # the `done_reason` of what was cancelled
# Nobody sits and waits for one of many answers: a chat beside them goes first.
PRIORITY = {PRIORITY_HEADER: BATCH}
# What would be said of all other questions too.
FATAL = (ModelNotFound, NoServer, QuotaSpent, ServerRefused, ServerWentAway)


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
    unfinished
        What had come, by place, of the questions that were being answered when Ctrl-C came; empty
        texts unless answers were `streamed`.
    stopped
        Whether Ctrl-C ended it.
    fatal
        The error after which no more were asked, because it would be all others' too.
    """

    of: list[Outcome | None]
    unfinished: dict[int, Generation] = field(default_factory=dict)
    stopped: bool = False
    fatal: OllamaNbError | None = None


def ask_many(
    requests: Sequence[Request],
    *,
    on_outcome: Callable[[Outcome, Sequence[int]], object] = lambda *_: None,
    meanwhile: Callable[[], object] = lambda: None,
    in_flight: int = IN_FLIGHT,
    streamed: bool = False,
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
    streamed
        Have answers come word by word, so that Ctrl-C leaves their beginnings. Otherwise they come
        as one message, which costs less.

    Returns
    -------
    Outcomes
        After Ctrl-C those so far: what was being answered then is cancelled, at the server too.
    """
    asking = _Asking(requests, on_outcome, streamed, min(in_flight, len(requests)))
    asking.result.stopped = asking.workers.run(meanwhile)
    return asking.result


class _Asking:
    """The work of `ask_many`."""

    def __init__(
        self,
        requests: Sequence[Request],
        on_outcome: Callable[[Outcome, Sequence[int]], object],
        streamed: bool,
        number: int,
    ) -> None:
        self._requests, self._on_outcome, self._streamed = requests, on_outcome, streamed
        self.result = Outcomes([None] * len(requests))
        self.workers = Workers(self._work, iter(_equal_ones(requests)), number)

    async def _work(self, places: list[int]) -> bool:
        """Ask one question; tell whether others are worth asking."""
        outcome = await self._outcome(self._requests[places[0]])
        if outcome.answer is not None and outcome.answer.done_reason == INTERRUPTED:
            self.result.unfinished |= dict.fromkeys(places, outcome.answer)
            return False
        if isinstance(outcome.error, FATAL):
            self.result.fatal = outcome.error
        for place in places:
            self.result.of[place] = outcome
        self._on_outcome(outcome, places)
        return self.result.fatal is None

    async def _outcome(self, request: Request) -> Outcome:
        try:
            return Outcome(answer=await self._answer(request))
        except OllamaNbError as error:
            return Outcome(error=error)

    async def _answer(self, request: Request) -> Generation:
        """Ask one question; a server that went away is looked for once more."""
        return await once_more_async(lambda: self._asked(request))

    async def _asked(self, request: Request) -> Generation:
        """Return the answer; if this is cancelled, what had come of it."""
        connection = current()
        unheeded = request.unheeded(connection.extensions)
        arriving = Arriving(request, warnings=unheeded, is_streamed=self._streamed)
        done_reason: str | None = "error"
        try:
            with translated(connection, request.model):
                async with aclosing(self._parts(request, connection)) as parts:
                    async for part in parts:
                        arriving.add(part)
            done_reason = None
        except asyncio.CancelledError:
            done_reason = INTERRUPTED
        finally:
            answer = arriving.finish(done_reason)  # what was cancelled is in the statistics too
        return answer

    def _parts(self, request: Request, connection: Connection) -> AsyncGenerator[Part, None]:
        http, known = self.workers.client(connection), connection.extensions
        return request.parts_async(http, known=known, headers=PRIORITY, stream=self._streamed)


def _equal_ones(requests: Iterable[Request]) -> list[list[int]]:
    """Return the places of equal questions together, in the order of their first ones."""
    places: dict[str, list[int]] = {}
    for place, request in enumerate(requests):
        question = as_json([request.model, request.question])
        places.setdefault(question, []).append(place)
    return list(places.values())
