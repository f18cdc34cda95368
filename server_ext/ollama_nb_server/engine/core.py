"""The engine's main loop: take requests in, step while there is work, send what became of it.

Runs on the worker's main thread. Requests come through a queue; cancellations also flip the abort
switch from the reading thread (see `worker`), so that a long computation ends at once.
"""

from __future__ import annotations

import queue
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from ollama_nb_server.engine.admission import new_sequence
from ollama_nb_server.engine.background import LONG, BackgroundJob, BackgroundThread, JobDone
from ollama_nb_server.engine.batching.planner import Item, counts_of
from ollama_nb_server.engine.embeddings.embedder import Job
from ollama_nb_server.engine.engine import Engine
from ollama_nb_server.engine.errors import CannotGenerate, EngineError, InternalError
from ollama_nb_server.engine.grammars.constraint import Constraint
from ollama_nb_server.engine.grammars.grammar import Compiled, GrammarJob
from ollama_nb_server.engine.images.encoding import has_images
from ollama_nb_server.engine.images.thread import ImageJob, ImageThread
from ollama_nb_server.engine.messages import (
    Cancel,
    Cancelled,
    Detokenize,
    Embed,
    EngineStats,
    Failed,
    Finished,
    Generate,
    Grammar,
    Score,
    Text,
    Thinking,
    Tokenize,
    Tokens,
)
from ollama_nb_server.engine.model_runner import Event
from ollama_nb_server.engine.native import AbortSwitch, Model
from ollama_nb_server.engine.prefixes.index import num_shared
from ollama_nb_server.engine.prompt import (
    prompt_length,
    prompt_tokens,
    public_tokens,
    whole_prompt_tokens,
)
from ollama_nb_server.engine.queueing import admit
from ollama_nb_server.engine.scores.encoded import EncodedScores, encoded_scores
from ollama_nb_server.engine.scores.jobs import ScoreJob, ScoreJobs
from ollama_nb_server.engine.sequence import Sequence
from ollama_nb_server.engine.spans import EncodedPrompt
from ollama_nb_server.engine.statistics import Statistics, untold


@dataclass(frozen=True, slots=True)
class GrammarReady:
    """From the thread of grammars: what became of the one that request `id` waits for."""

    id: int
    outcome: Compiled | EngineError


class ActiveRequests:
    """Which requests the running computation serves; read by the thread of cancellations."""

    def __init__(self, abort: AbortSwitch) -> None:
        self._abort, self.ids = abort, frozenset[int]()

    def cancelled(self, request: int) -> None:
        """Stop the computation if it serves this request."""
        if request in self.ids:
            self._abort.set()

    def serve(self, ids: frozenset[int]) -> None:
        """Say whom the next computation serves; clears an abort of the one before.

        Messages that came before this must be looked for after it: their cancellations found
        nothing to stop.
        """
        self._abort.clear()
        self.ids = ids


class EngineCore:
    """Serves requests until the process ends."""

    def __init__(
        self,
        engine: Engine,
        inbox: queue.SimpleQueue[Any],
        active: ActiveRequests,
        send: Callable[..., None],
        tell: Callable[[EngineStats], None] = untold,
    ) -> None:
        self._engine, self._inbox, self._active, self._send = engine, inbox, active, send
        self._kv_cache = engine.kv_cache
        budget = engine.planner.budget
        self._statistics = Statistics(engine.kv_cache, tell, token_times=budget.token_times)
        self._waiting: deque[Sequence] = deque()
        self._waiting_for_grammar: dict[int, tuple[Sequence, GrammarJob, Thinking | None]] = {}
        self._embeds: deque[Job] = deque()
        self._scores = ScoreJobs(can_branch=engine.kv_cache.prefixes.can_branch)
        self._background = BackgroundThread(inbox.put)
        self.images = ImageThread(engine.images, inbox.put) if engine.images else None

    def run(self) -> None:
        """Work for ever."""
        while True:
            self._take_in()
            self._engine.grow(len(self._waiting) + self._scores.num_waiting)
            self._offer_scores()
            admit(self._waiting, self._kv_cache, time.perf_counter_ns())
            self._embed()
            self._step()

    # --- taking in --------------------------------------------------------------------------------

    @property
    def _idle(self) -> bool:
        work = self._kv_cache.sequences, self._waiting, self._embeds, self._scores
        return not any(work)

    def _take_in(self) -> None:
        """Handle all messages that are there; wait for one if there is nothing to do."""
        if self._idle:
            self._statistics.tell()
            message = self._inbox.get()
            self._engine.rested()
            self._handle(message)
        while not self._inbox.empty():
            self._handle(self._inbox.get())

    def _handle(self, message: Any) -> None:
        """Do as a message says; what goes wrong there is its own request's affair."""
        try:
            self._dispatch(message)
        except EngineError as error:
            self._send(failure(message.id, error))
        except Exception as error:
            self._send(failure(message.id, InternalError.of(error)))

    def _dispatch(self, message: Any) -> None:
        model = self._engine.model
        work: Callable[[], Any]
        match message:
            case Generate(id, prompt):
                then = partial(self._start, message)
                if self.images and has_images(prompt):
                    self.images.submit(ImageJob(message, then))
                    return
                work = partial(text_prompt, model, message)
                length = prompt_length((*prompt, *message.public))
                self._in_background(BackgroundJob(id, work, then), length)
            case Embed(id, texts):
                work = partial(self._engine.embedder.begin, message)
                self._in_background(
                    BackgroundJob(id, work, self._embeds.append), sum(map(len, texts))
                )
            case Score(id):
                self._take_score(message)
            case Tokenize(id, prompt):
                work = partial(tokens_of, model, message)
                self._in_background(BackgroundJob(id, work, self._send), prompt_length(prompt))
            case Detokenize(id, tokens):
                work = partial(text_of, model, message)
                self._in_background(BackgroundJob(id, work, self._send), len(tokens))
            case JobDone(id, outcome, then):
                if self._has_left_thread(id):
                    taken(outcome, then)
            case GrammarReady(id, outcome):
                self._grammar_ready(id, outcome)
            case Cancel(id):
                self._cancel(id)

    def _take_score(self, request: Score) -> None:
        """Have a request's texts read, and its images if it shows any."""
        if self._engine.context is None:
            raise CannotGenerate
        model, num_ctx = self._engine.model, self._engine.num_ctx

        def start(encoded: EncodedScores) -> None:
            self._scores.add(ScoreJob.of(request, encoded))

        if self.images and has_images(request.prompt):
            read = partial(encoded_scores, model, num_ctx, request)
            self.images.submit(ImageJob(request, lambda prompt: start(read([prompt]))))
            return
        work = partial(encoded_scores, model, num_ctx, request)
        length = sum(map(prompt_length, (*request.prompts, *request.choices)))
        self._in_background(BackgroundJob(request.id, work, start), length)

    def _in_background(self, job: BackgroundJob, length: int) -> None:
        """Make something of a text: at once, or aside if it is long."""
        if length < LONG:
            job.then(job.work())
        else:
            self._background.submit(job)

    def _has_left_thread(self, request: int) -> bool:
        """Whether a request has waited for a thread till now; it no longer does then."""
        seen = self.images is not None and self.images.take(request)
        return self._background.take(request) or seen

    def _start(self, request: Generate, prompt: EncodedPrompt) -> None:
        sequence = new_sequence(self._engine, request, prompt)
        if request.grammar is not None:
            self._compile_grammar(sequence, request.grammar, request.thinking)
            return
        if request.thinking is not None:
            self._constrain(sequence, None, None, request.thinking)
        self._waiting.append(sequence)

    def _compile_grammar(
        self, sequence: Sequence, grammar: Grammar, thinking: Thinking | None
    ) -> None:
        """Have its grammar compiled; others go on meanwhile."""
        told = partial(GrammarReady, sequence.id)
        job = self._engine.grammars.compile(grammar, lambda made: self._inbox.put(told(made)))
        self._waiting_for_grammar[sequence.id] = sequence, job, thinking

    def _grammar_ready(self, request: int, outcome: Compiled | EngineError) -> None:
        if request not in self._waiting_for_grammar:
            return  # cancelled meanwhile
        sequence, job, thinking = self._waiting_for_grammar.pop(request)
        if isinstance(outcome, EngineError):
            sequence.close()
            raise outcome
        self._constrain(sequence, job.grammar, outcome, thinking)
        self._waiting.append(sequence)

    def _constrain(
        self,
        sequence: Sequence,
        grammar: Grammar | None,
        compiled: Compiled | None,
        thinking: Thinking | None,
    ) -> None:
        model, tags = self._engine.model, sequence.tags
        sequence.constraint = Constraint(model, grammar, compiled, thinking, tags)

    def _cancel(self, request: int) -> None:
        """Forget a request wherever it is, and say what had been computed of it."""
        self._has_left_thread(request)
        for embed in [embed for embed in self._embeds if embed.id == request]:
            self._embeds.remove(embed)
            self._send(Cancelled(request, embed.num_computed))
            self._engine.embedder.drop(embed)
            return
        if job := self._scores.get(request):
            self._end_score(job, keep=True)
            self._send(Cancelled(request, job.num_read))
            return
        sequence = self._taken_out(request)
        if sequence is None:
            self._send(Cancelled(request))
            return
        computed = sequence.num_prompt_computed, sequence.num_generated
        self._send(Cancelled(request, *computed, min(sequence.num_cached, computed[0])))
        sequence.close()

    def _taken_out(self, request: int) -> Sequence | None:
        """A request's sequence, which no longer waits and has no slot any more."""
        if request in self._waiting_for_grammar:
            sequence, job, _ = self._waiting_for_grammar.pop(request)
            job.drop()
            return sequence
        for sequence in self._waiting:
            if sequence.id == request:
                self._waiting.remove(sequence)
                return sequence
        for sequence in self._kv_cache.sequences:
            if sequence.id == request:
                self._kv_cache.release(sequence)
                return sequence
        return None

    # --- working ----------------------------------------------------------------------------------

    def _offer_scores(self) -> None:
        """Let prompts that are to be scored wait for the slots that nobody else waits for."""
        num_spare = self._kv_cache.num_free - len(self._waiting)
        self._waiting += self._scores.next_sequences(num_spare)

    def _step(self) -> None:
        self._kv_cache.shift()
        self._engine.speculator.propose(self._kv_cache.sequences)
        batches = self._engine.planner.plan(self._kv_cache.sequences)
        if not batches:
            return
        by_id = {item.sequence.id: item.sequence for items in batches for item in items}
        self._engine.use_threads(self._engine.threads_of(by_id.values()))
        self._active.serve(frozenset(by_id))
        counts, began = counts_of(batches), time.perf_counter()
        events, whole = self._computed(batches)
        took_s = time.perf_counter() - began
        if whole:
            self._engine.speculator.took(took_s)
        if whole and not self._engine.speculator.drafts:
            self._engine.planner.budget.note(*counts, took_s)
        self._active.ids = frozenset()
        for event in events:
            if isinstance(event, Finished | Failed):
                self._end(by_id[event.id], keep=isinstance(event, Finished))
        if events:
            self._send(*events)
        if whole:
            self._statistics.count_step(took_s)
        self._finish_scores()

    def _computed(self, batches: list[list[Item]]) -> tuple[list[Event], bool]:
        """What came of the batches of a step, and whether all were computed.

        A message from before `serve` may be one that found nothing to stop: it is read first. A
        later one waits for the step to end, or nothing but the first batch might ever be computed.
        """
        events: list[Event] = []
        failed: set[int] = set()
        if not self._inbox.empty():
            return events, False
        for items in batches:
            if items[0].sequence.id in failed:  # a piece behind one that could not be computed
                continue
            told = self._engine.runner.run(items)
            self._kv_cache.settle(computed=told is not None)
            if told is None:  # aborted
                return events, False
            events += told
            failed |= {event.id for event in told if isinstance(event, Failed)}
        return events, not failed

    def _embed(self) -> None:
        """One piece of one request's vectors: the requests take turns, others' tokens between."""
        if not self._embeds:
            return
        job = self._engine.embedder.next_of(self._embeds)
        self._active.serve(frozenset({job.id}))
        if self._inbox.empty():  # else somebody's message is more urgent
            self._embeds.remove(job)
            self._embed_piece(job)
        self._active.ids = frozenset()

    def _embed_piece(self, job: Job) -> None:
        self._engine.embedder.use_threads(self._engine.threads_of_texts(job.request.num_thread))
        try:
            done = self._engine.embedder.step(job)
        except EngineError as error:
            self._send(failure(job.id, error, job.num_computed))
        except Exception as error:
            self._send(failure(job.id, InternalError.of(error), job.num_computed))
        else:
            if done:
                self._send(job.answer())
            else:
                self._embeds.append(job)

    def _end(self, sequence: Sequence, *, keep: bool) -> None:
        if job := self._scores.get(sequence.id):
            self._end_score(job, keep=keep)
        elif sequence.scores is None:
            self._kv_cache.release(sequence, keep=keep)
            sequence.close()

    def _finish_scores(self) -> None:
        """Let go of the prompts whose scores are known; tell a request's when all are."""
        for job in self._scores.all:
            for sequence in job.take_branches():
                self._kv_cache.release(sequence, keep=False)
            for sequence in job.take_prompts():
                self._kv_cache.release(sequence)
            try:
                job.settle()
            except EngineError as error:
                self._end_score(job, keep=False)
                self._send(failure(job.request.id, error, job.num_read))
                continue
            if job.complete:
                self._end_score(job, keep=True)
                self._send(job.answer())

    def _end_score(self, job: ScoreJob, *, keep: bool) -> None:
        """Forget a request for scores, and what is computed of its prompts."""
        for sequence in self._scores.remove(job.request.id):
            if sequence in self._waiting:
                self._waiting.remove(sequence)
            else:
                self._kv_cache.release(sequence, keep=keep)


def taken(outcome: Any, then: Callable[[Any], None]) -> None:
    """Hand on what a thread has made, or raise the error that it met."""
    if isinstance(outcome, EngineError):
        raise outcome
    then(outcome)


def text_prompt(model: Model, request: Generate) -> EncodedPrompt:
    """A prompt without images."""
    tokens = whole_prompt_tokens(model, request.prompt)
    public = public_tokens(model, request.public)
    return EncodedPrompt(tokens, num_public=num_shared(tokens, public))


def text_of(model: Model, request: Detokenize) -> Text:
    """The answer to a request for a text."""
    return Text(request.id, model.detokenize(request.tokens))


def tokens_of(model: Model, request: Tokenize) -> Tokens:
    """The answer to a request for tokens."""
    read = whole_prompt_tokens if request.add_special else prompt_tokens
    tokens = read(model, request.prompt)
    count, ends = len(tokens), request.ends
    if 0 < 2 * ends < count:
        tokens = tokens[:ends] + tokens[-ends:]
    return Tokens(request.id, tuple(tokens), count)


def failure(request: int, error: EngineError, prompt_count: int = 0) -> Failed:
    """An error as a message: its class and what it is made of; how many tokens were computed."""
    return Failed(request, type(error).__name__, tuple(vars(error).values()), prompt_count)
