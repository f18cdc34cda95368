"""Questions of rows, answered: what the cache has is not asked again, what is finished is kept.

What is asked comes from a verb, and what an answer means too.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from ollama_nb.asking.many import IN_FLIGHT, ask_many
from ollama_nb.cache.rows import AnswerCache, KeptAnswer, key_of
from ollama_nb.errors import OllamaNbError, ServerWarning
from ollama_nb.frames.bar import Bar, Count, rows_in_words
from ollama_nb.frames.errors import BadColumns, RowsFailed
from ollama_nb.frames.sampling import Pace
from ollama_nb.managing.digests import digest_of
from ollama_nb.warning import warn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ollama_nb.answers.generation import Generation
    from ollama_nb.asking.many import Outcome
    from ollama_nb.asking.request import Request

    Question = Request | OllamaNbError | None

MOST_IN_FLIGHT = 100  # connections that a client holds

_cache = AnswerCache()


@dataclass(frozen=True, slots=True)
class RowAnswer:
    """What a row has: an answer, or why there is none; neither where the question is missing.

    `beginning` is what had come of an answer when the run was stopped. It is never kept.
    """

    answer: KeptAnswer | None = None
    error: OllamaNbError | None = None
    beginning: KeptAnswer | None = None


NOTHING = RowAnswer()


class RunStopped(OllamaNbError):
    """A row that has no answer because the run was stopped."""


class NotAsked(RunStopped):
    """A row that was not reached before."""

    def __init__(self) -> None:
        super().__init__("not asked: the run was stopped; run it again for the rest")


class NotFinished(RunStopped):
    """A row that was being answered."""

    def __init__(self) -> None:
        super().__init__(
            "interrupted: the run was stopped before this answer was finished; run it again for "
            "all of it"
        )


def answer_rows(
    questions: Sequence[Question],
    model: str,
    *,
    fresh: bool = False,
    in_flight: int = IN_FLIGHT,
    streamed: bool = False,
    progress: bool = True,
) -> list[RowAnswer]:
    """Return an answer for each question, from the cache or from the model.

    Parameters
    ----------
    questions
        A request, an error that stands in for one, or None for a row without a question.
    model
        The model of all requests.
    fresh
        Ask also what the cache has; the new answers take its place.
    in_flight
        How many are asked at the same time.
    streamed
        Have the beginnings of answers that Ctrl-C leaves unfinished.
    progress
        Show a bar, and leave a line.

    Raises
    ------
    OllamaNbError
        If no row has an answer because there is no server, or no such model.
    BadColumns
        For an `in_flight` that cannot be.
    """
    if not 1 <= in_flight <= MOST_IN_FLIGHT:
        raise BadColumns(f"in_flight is from 1 to {MOST_IN_FLIGHT}, not {in_flight}")
    run = _Run(questions, digest_of(model))
    if not fresh:
        run.take_kept()
    run.ask(in_flight, streamed, progress)
    return run.rows


def num_open(questions: Sequence[Question], model: str) -> int:
    """Return how many different questions the cache cannot answer."""
    keys = {key for key in _keys(questions, digest_of(model)) if key}
    return len(keys - set(_cache.found(keys)))


def pace_of(rows: Sequence[RowAnswer]) -> Pace | None:
    """Return how long answers took; None where there are none."""
    seconds = [row.answer.seconds for row in rows if row.answer is not None]
    return Pace(fmean(seconds), len(seconds)) if seconds else None


def _keys(questions: Sequence[Question], digest: str) -> list[str]:
    """Return a key for each question; empty where there is none."""
    return [
        "" if one is None or isinstance(one, OllamaNbError) else key_of(digest, one.question)
        for one in questions
    ]


class _Run:
    """One run over the rows."""

    def __init__(self, questions: Sequence[Question], digest: str) -> None:
        self._questions = questions
        self._keys = _keys(questions, digest)
        self.rows = [_without_asking(question) for question in questions]
        failed = sum(row.error is not None for row in self.rows)
        missing = sum(question is None for question in questions)
        self._count = Count(len(questions), missing=missing, failed=failed)
        self._warnings: dict[str, None] = {}

    def take_kept(self) -> None:
        """Answer what the cache can answer."""
        found = _cache.found(key for key in self._keys if key)
        for place, key in enumerate(self._keys):
            if key in found:
                self.rows[place] = RowAnswer(found[key])
                self._count.kept += 1

    def ask(self, in_flight: int, streamed: bool, progress: bool) -> None:
        """Ask the rest."""
        requests: list[Request] = []
        places: list[int] = []
        for place, question in enumerate(self._questions):
            if self._is_open(place) and not isinstance(question, OllamaNbError | None):
                requests.append(question)
                places.append(place)
        bar = Bar(self._count, progress)
        bar.open()

        def note(outcome: Outcome, which: Sequence[int]) -> None:
            with bar.lock:
                self._note(outcome, [places[one] for one in which])

        try:
            outcomes = ask_many(
                requests,
                on_outcome=note,
                meanwhile=bar.show,
                in_flight=in_flight,
                streamed=streamed,
            )
        finally:
            bar.close()
        if outcomes.fatal is not None and not any(row.answer for row in self.rows):
            raise outcomes.fatal
        for which, answer in outcomes.unfinished.items():
            self.rows[places[which]] = RowAnswer(None, NotFinished(), _kept(answer))
        self._settle(outcomes.fatal or NotAsked())
        self._warn()

    def _is_open(self, place: int) -> bool:
        """Whether a row is still to be asked."""
        return self.rows[place] == NOTHING and self._questions[place] is not None

    def _note(self, outcome: Outcome, places: Sequence[int]) -> None:
        """Take in what came of a question, and keep an answer before anything else happens."""
        if outcome.answer is None:
            self._count.failed += len(places)
            row = RowAnswer(error=outcome.error)
        else:
            row = RowAnswer(_kept(outcome.answer))
            self._keep(places[0], outcome.answer.model, row)
            self._count.answered += len(places)
            self._count.tokens += outcome.answer.stats.answer_tokens or 0
            answer = outcome.answer  # where its own limit cut it is told by its `done_reason`
            self._warnings |= dict.fromkeys(w for w in answer.warnings if w != answer.cut)
        for place in places:
            self.rows[place] = row

    def _keep(self, place: int, model: str, row: RowAnswer) -> None:
        assert row.answer is not None
        _cache.keep(self._keys[place], model, row.answer)

    def _settle(self, error: OllamaNbError) -> None:
        """Say of every row that has no answer why."""
        for place in range(len(self.rows)):
            if self._is_open(place):
                self.rows[place] = RowAnswer(error=error)

    def _warn(self) -> None:
        for warning in self._warnings:
            warn(warning, ServerWarning)


def warn_of_failures(errors: Sequence[OllamaNbError | None], *, shown: bool) -> None:
    """Warn of rows without an answer, once for all; a stopped run has said so itself."""
    failed = [error for error in errors if error is not None and not isinstance(error, RunStopped)]
    if failed:
        where = "see the column _error" if shown else "details=True gives a column _error"
        warn(
            f"{rows_in_words(len(failed))} failed and stay empty; {where}. The first: {failed[0]}",
            RowsFailed,
        )


def _without_asking(question: Question) -> RowAnswer:
    return RowAnswer(error=question) if isinstance(question, OllamaNbError) else NOTHING


def _kept(answer: Generation) -> KeptAnswer:
    stats = answer.stats
    return KeptAnswer(
        answer.text,
        answer.thinking,
        answer.done_reason,
        stats.prompt_tokens,
        stats.answer_tokens,
        stats.total_s,
    )
