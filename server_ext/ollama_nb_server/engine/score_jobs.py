"""Requests for scores in the engine: which prompts get a slot next, and what is known of them.

A request of many prompts computes as many of them at once as there are slots that nobody else
wants. How scores are read is in `scoring`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from ollama_nb_server.engine.choice_tree import ChoiceTree
from ollama_nb_server.engine.encoded_scores import EncodedScores
from ollama_nb_server.engine.messages import Score, Scored
from ollama_nb_server.engine.scoring import MAX_RUN, PromptScores
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
        return self.request.priority, len(self.running)

    def next_sequence(self) -> Sequence:
        """The next prompt as a sequence, which may take a slot."""
        number, prompt = self.waiting.popleft()
        request = self.request
        sequence = self.running[number] = Sequence(
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
            scores=PromptScores(self.tree, 1 if request.reproducible else MAX_RUN),
        )
        return sequence

    def take_complete(self) -> list[Sequence]:
        """The sequences whose scores are all known, which need no slot any more.

        Raises
        ------
        ScoreNotFinite
        """
        done = [n for n, s in self.running.items() if s.scores is not None and s.scores.complete]
        for number in done:
            scores = self.running[number].scores
            assert scores is not None
            self.rows[number] = scores.row()
        self.num_computed += sum(self.running[number].num_prompt for number in done)
        self.num_cached += sum(self.running[number].num_cached for number in done)
        return [self.running.pop(number) for number in done]

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
        return not (self.waiting or self.running)

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


class ScoreJobs:
    """All such requests of one engine."""

    def __init__(self) -> None:
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
        return list(job.running.values()) if job else []

    def next_sequences(self, num_free: int) -> list[Sequence]:
        """The next prompts for so many free slots: the requests take turns."""
        found: list[Sequence] = []
        while len(found) < num_free:
            able = [job for job in self._jobs.values() if job.waiting]
            if not able:
                break
            found.append(min(able, key=lambda job: job.rank).next_sequence())
        return found

    @property
    def all(self) -> list[ScoreJob]:
        """Those that are not over."""
        return list(self._jobs.values())
