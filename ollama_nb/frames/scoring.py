"""Prompts of rows, scored: many rows a request, what the cache has is not asked again.

What is asked comes from a verb (`classifying`, `filtering`, `joining`), and what a score means too.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

from ollama_nb.asking.many import PRIORITY
from ollama_nb.asking.many_scores import PROMPTS_A_REQUEST, score_all
from ollama_nb.asking.score_request import ScoreRequest
from ollama_nb.asking.scores import Score
from ollama_nb.cache.rows import AnswerCache, KeptAnswer, key_of
from ollama_nb.connection.current import current
from ollama_nb.connection.options import checked
from ollama_nb.errors import OllamaNbError
from ollama_nb.frames.bar import Bar, Count
from ollama_nb.frames.running import NotAsked
from ollama_nb.frames.sampling import SLOTS, Pace
from ollama_nb.managing.catalogue import default_model
from ollama_nb.managing.digests import digest_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_cache = AnswerCache()


@dataclass(frozen=True, slots=True)
class Scoring:
    """How rows are scored.

    Attributes
    ----------
    model
        Who is asked.
    fields
        Of the API, beside prompt and choices.
    fresh
        Ask also what the cache has; the new scores take its place.
    progress
        Show a bar, and leave a line.
    """

    model: str
    fields: Mapping[str, Any]
    fresh: bool = False
    progress: bool = True

    @classmethod
    def of(
        cls,
        model: str | None,
        system: str | None,
        options: Mapping[str, Any] | None,
        keep_alive: float | str | None,
        fresh: bool,
        progress: bool,
    ) -> Scoring:
        """Return it with the arguments that all verbs have.

        Raises
        ------
        UnknownOption
        """
        fields = {"system": system, "options": checked(options or {}), "keep_alive": keep_alive}
        return cls(default_model(model), fields, fresh, progress)


@dataclass(frozen=True, slots=True)
class RowScore:
    """What a row has: a score, or why there is none; neither where the prompt is missing.

    `seconds` is its share of the time that its run took, for there are many prompts a request.
    """

    score: Score | None = None
    error: OllamaNbError | None = None
    seconds: float = 0.0


def score_rows(
    prompts: Sequence[str | OllamaNbError | None], choices: Sequence[str], scoring: Scoring
) -> list[RowScore]:
    """Return a score for each prompt, from the cache or from the model; equal ones asked once.

    Parameters
    ----------
    prompts
        A text, an error that stands in for one, or None for a row without a prompt.
    choices
        The same for all of them.

    Returns
    -------
    list of RowScore
        After Ctrl-C those so far: running again asks for the rest.

    Raises
    ------
    OllamaNbError
        If no row has a score because there is no server, or no such model.
    """
    run = _Run(prompts, tuple(choices), scoring)
    if not scoring.fresh:
        run.take_kept()
    run.ask()
    return run.rows


def num_open(prompts: Iterable[object], choices: Sequence[str], scoring: Scoring) -> int:
    """Return how many different prompts the cache has no score for."""
    texts = [prompt for prompt in prompts if isinstance(prompt, str)]
    run = _Run(texts, tuple(choices), scoring)
    run.take_kept()
    return run.num_different


def pace_of(rows: Sequence[RowScore]) -> Pace | None:
    """Return how long scores took; None where there are none."""
    shares = [row.seconds for row in rows if row.score is not None]
    return Pace(fmean(shares) * min(len(shares), SLOTS), len(shares)) if shares else None


class _Run:
    """One run over the rows."""

    def __init__(
        self,
        prompts: Sequence[str | OllamaNbError | None],
        choices: tuple[str, ...],
        scoring: Scoring,
    ) -> None:
        self._prompts, self._choices, self._scoring = prompts, choices, scoring
        self._digest = digest_of(scoring.model)
        self._places: dict[str, list[int]] = {}  # of the rows that ask the same
        self.rows = [RowScore()] * len(prompts)
        failed = 0
        for place, prompt in enumerate(prompts):
            if isinstance(prompt, OllamaNbError):
                self.rows[place], failed = RowScore(error=prompt), failed + 1
            elif prompt is not None:
                self._places.setdefault(prompt, []).append(place)
        missing = sum(prompt is None for prompt in prompts)
        self._count = Count(len(prompts), missing=missing, failed=failed)

    def take_kept(self) -> None:
        """Score what the cache can, but for what a server without probabilities has left."""
        keys = {prompt: self._key(prompt) for prompt in self._places}
        found = _cache.found(keys.values())
        tells = any(current().extensions)  # ollama_nb's own server, which tells them
        for prompt, key in keys.items():
            score = _read(found[key].text, self._choices) if key in found else None
            if score is not None and (score.logprobs is not None or not tells):
                places = self._places.pop(prompt)
                self._count.kept += len(places)
                self._set(places, RowScore(score, seconds=found[key].seconds))

    @property
    def num_different(self) -> int:
        """How many different prompts have no score yet."""
        return len(self._places)

    def ask(self) -> None:
        """Ask for the rest."""
        texts = list(self._places)
        parts = [
            texts[begin : begin + PROMPTS_A_REQUEST]
            for begin in range(0, len(texts), PROMPTS_A_REQUEST)
        ]
        requests = [self._request(part) for part in parts]
        bar = Bar(self._count, self._scoring.progress)
        bar.open()
        since_s = time.perf_counter()

        def note(which: int, outcomes: Sequence[Score | OllamaNbError]) -> None:
            nonlocal since_s
            with bar.lock:
                before_s, since_s = since_s, time.perf_counter()
                share_s = (since_s - before_s) / len(outcomes)
                for prompt, outcome in zip(parts[which], outcomes, strict=True):
                    self._note(prompt, outcome, share_s)

        try:
            ended = score_all(requests, note, meanwhile=bar.show, headers=PRIORITY)
        finally:
            bar.close()
        if ended.fatal is not None and not any(row.score for row in self.rows):
            raise ended.fatal
        for places in self._places.values():
            self._set(places, RowScore(error=ended.fatal or NotAsked()))

    def _note(self, prompt: str, outcome: Score | OllamaNbError, share_s: float) -> None:
        """Take in what came of a prompt, and keep a score before anything else happens."""
        places = self._places.pop(prompt)
        if isinstance(outcome, OllamaNbError):
            self._count.failed += len(places)
            self._set(places, RowScore(error=outcome))
            return
        kept = KeptAnswer(_written(outcome), "", "score", None, None, share_s)
        _cache.keep(self._key(prompt), self._scoring.model, kept)
        self._count.answered += len(places)
        self._set(places, RowScore(outcome, seconds=share_s))

    def _set(self, places: Sequence[int], row: RowScore) -> None:
        for place in places:
            self.rows[place] = row

    def _request(self, prompts: Sequence[str]) -> ScoreRequest:
        model, fields = self._scoring.model, self._scoring.fields
        return ScoreRequest(model, tuple(prompts), self._choices, fields)

    def _key(self, prompt: str) -> str:
        return key_of(self._digest, self._request([prompt]).question(prompt))


def _written(score: Score) -> str:
    return json.dumps({"best": score.best, "logprobs": score.logprobs})


def _read(text: str, choices: tuple[str, ...]) -> Score:
    kept = json.loads(text)
    logprobs = kept["logprobs"]
    return Score(choices, kept["best"], None if logprobs is None else tuple(logprobs))
