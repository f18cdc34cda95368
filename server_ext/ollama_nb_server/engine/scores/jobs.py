"""Requests for scores in the engine: which prompts get a slot next, and what is known of them.

A request of many prompts computes as many of them at once as there are slots that nobody else
wants, and when no prompt is left, the choices of those that run side by side. How scores are read
is in `scoring`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from ollama_nb_server.engine.messages import Score, Scored
from ollama_nb_server.engine.prefixes.cache import WORTH
from ollama_nb_server.engine.scores.choice_tree import ChoiceTree
from ollama_nb_server.engine.scores.encoded import EncodedScores
from ollama_nb_server.engine.scores.scoring import MAX_RUN, PromptScores
from ollama_nb_server.engine.sequence import Sequence
from ollama_nb_server.engine.spans import EncodedPrompt
from ollama_nb_server.engine.text import TextStream


class _DrawsNothing:
    """The sampler of a sequence that is only read."""

    def close(self) -> None:
        """Nothing native is held."""


DRAWS_NOTHING = _DrawsNothing()


@dataclass(slots=True, eq=False)
class ScoreJob:
    """A request on its way: prompts that have no sequence yet, the others', and what is known."""

    request: Score
    tree: ChoiceTree
    num_ctx: int
    waiting: deque[tuple[int, EncodedPrompt]]
    running: dict[int, Sequence] = field(default_factory=dict)  # by the prompt's number
    branches: dict[Sequence, int] = field(default_factory=dict)  # of which prompt
    read: dict[int, PromptScores] = field(default_factory=dict)  # but for what branches compute
    rows: dict[int, bytes] = field(default_factory=dict)
    num_computed: int = 0  # tokens of prompts, of those that are done
    num_cached: int = 0  # of these, the ones that had been computed for somebody else

    @classmethod
    def of(cls, request: Score, encoded: EncodedScores) -> ScoreJob:
        """A request whose texts are tokens now."""
        tree = ChoiceTree(encoded.choices)
        return cls(request, tree, encoded.num_ctx, deque(enumerate(encoded.prompts)))

    @property
    def rank(self) -> tuple[int, int]:
        """Whose turn it is when a slot is free, the smallest first: the more urgent, then fair."""
        return self.request.priority, len(self.running) + len(self.branches)

    def next_sequence(self, *, can_branch: bool) -> Sequence | None:
        """The next that may take a slot: a prompt, or some choices behind one, if any is left."""
        if self.waiting:
            number, prompt = self.waiting.popleft()
            most = 1 if self.request.reproducible else MAX_RUN
            self.running[number] = self._sequence(prompt, PromptScores(self.tree, most))
            return self.running[number]
        if can_branch and not self.request.reproducible:
            return next(filter(None, map(self._branch, self.running)), None)
        return None

    def _branch(self, number: int) -> Sequence | None:
        """Some of the choices behind a prompt; a short prompt is not worth a copy."""
        leader = self.running[number]
        if leader.scores is None or leader.num_prompt < WORTH:
            return None
        scores = leader.scores.branch()
        if scores is None:
            return None
        tokens = leader.tokens[: leader.num_prompt]
        prompt = EncodedPrompt(tokens, leader.spans, leader.num_public)
        sequence = self._sequence(prompt, scores)
        sequence.tokens += scores.go_on()[1]
        self.branches[sequence] = number
        return sequence

    def _sequence(self, prompt: EncodedPrompt, scores: PromptScores) -> Sequence:
        request = self.request
        return Sequence(
            id=request.id,
            tokens=list(prompt.tokens),
            num_prompt=len(prompt.tokens),
            num_ctx=self.num_ctx,
            num_predict=0,
            text=TextStream(),
            sampler=DRAWS_NOTHING,
            spans=prompt.spans,
            num_thread=request.num_thread,
            priority=request.priority,
            reproducible=request.reproducible,
            salt=request.salt,
            num_public=prompt.num_public,
            scores=scores,
        )

    def take_branches(self) -> list[Sequence]:
        """The branches that are computed, which need no slot any more."""
        done = [sequence for sequence in self.branches if _is_complete(sequence)]
        for sequence in done:
            del self.branches[sequence]
        return done

    def take_prompts(self) -> list[Sequence]:
        """The prompts that have nothing more to compute, which need no slot any more either."""
        done = [number for number, sequence in self.running.items() if _is_complete(sequence)]
        for number in done:
            sequence = self.running[number]
            assert sequence.scores is not None
            self.read[number] = sequence.scores
            self.num_computed += sequence.num_prompt
            self.num_cached += sequence.num_cached
        return [self.running.pop(number) for number in done]

    def settle(self) -> None:
        """Take down what is known of the prompts that have no branch any more.

        Raises
        ------
        ScoreNotFinite
        """
        for number in self.read.keys() - set(self.branches.values()):
            self.rows[number] = self.read.pop(number).row()

    @property
    def num_read(self) -> int:
        """Tokens that have been computed or scored, of prompts and of choices."""
        running = sum(sequence.num_prompt_computed for sequence in self.running.values())
        return self.num_computed + running + self._num_scored

    @property
    def _num_scored(self) -> int:
        """Tokens of choices whose probabilities are known."""
        return len(self.rows) * sum(map(len, self.tree.ends))

    @property
    def complete(self) -> bool:
        """Whether every prompt's scores are known."""
        return not (self.waiting or self.running or self.branches)

    def answer(self) -> Scored:
        """The message that ends the request."""
        return Scored(
            self.request.id,
            tokens=tuple(tuple(self.tree.tokens[n] for n in path) for path in self.tree.ends),
            logprobs=tuple(self.rows[number] for number in sorted(self.rows)),
            prompt_count=self.num_computed,
            eval_count=self._num_scored,
            cached_count=self.num_cached,
        )


def _is_complete(sequence: Sequence) -> bool:
    return sequence.scores is not None and sequence.scores.complete


class ScoreJobs:
    """All such requests of one engine; `can_branch`: a running prompt can be copied anywhere."""

    def __init__(self, *, can_branch: bool) -> None:
        self._can_branch = can_branch
        self._jobs: dict[int, ScoreJob] = {}

    def __bool__(self) -> bool:
        return bool(self._jobs)

    def add(self, job: ScoreJob) -> None:
        """Take a request in."""
        self._jobs[job.request.id] = job

    def get(self, request: int) -> ScoreJob | None:
        """A request that is not over."""
        return self._jobs.get(request)

    def remove(self, request: int) -> list[Sequence]:
        """Forget a request; its sequences, which need no slot any more."""
        job = self._jobs.pop(request, None)
        return [*job.running.values(), *job.branches] if job else []

    def next_sequences(self, num_free: int) -> list[Sequence]:
        """The next for so many free slots: the requests take turns."""
        found: list[Sequence] = []
        able = self.all
        while able and len(found) < num_free:
            job = min(able, key=lambda job: job.rank)
            sequence = job.next_sequence(can_branch=self._can_branch)
            if sequence is None:
                able.remove(job)
            else:
                found.append(sequence)
        return found

    @property
    def num_waiting(self) -> int:
        """Prompts that have no slot yet, whoever else waits for one."""
        return sum(len(job.waiting) for job in self._jobs.values())

    @property
    def all(self) -> list[ScoreJob]:
        """Those that are not over."""
        return list(self._jobs.values())
