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

from ollama_nb_server.engine.background import LONG, BackgroundJob, BackgroundThread, JobDone
from ollama_nb_server.engine.constraint import Constraint
from ollama_nb_server.engine.embedding import Job
from ollama_nb_server.engine.engine import MIN_CTX, Engine
from ollama_nb_server.engine.errors import CannotGenerate, EngineError, PromptTooLong, UnknownToken
from ollama_nb_server.engine.grammar import Compiled, GrammarJob
from ollama_nb_server.engine.logprobs import Pieces
from ollama_nb_server.engine.messages import (
    Cancel,
    Delta,
    Detokenize,
    Embed,
    Failed,
    Generate,
    Grammar,
    Text,
    Tokenize,
    Tokens,
)
from ollama_nb_server.engine.model_runner import Event
from ollama_nb_server.engine.native import AbortSwitch, Model
from ollama_nb_server.engine.sampling import SamplerChain
from ollama_nb_server.engine.sequence import Sequence
from ollama_nb_server.engine.text import TextStream

MAX_PREDICT_CONTEXTS = 10  # num_predict is at most so many contexts (reference 6.8)


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
    ) -> None:
        self._engine, self._inbox, self._active, self._send = engine, inbox, active, send
        self._kv_cache = engine.kv_cache
        self._waiting: deque[Sequence] = deque()
        self._waiting_for_grammar: dict[int, tuple[Sequence, GrammarJob]] = {}
        self._embeds: deque[Job] = deque()
        self._background = BackgroundThread(inbox.put)

    def run(self) -> None:
        """Work for ever."""
        while True:
            self._take_in()
            self._admit()
            self._embed()
            self._step()

    # --- taking in --------------------------------------------------------------------------------

    @property
    def _idle(self) -> bool:
        return not (self._kv_cache.sequences or self._waiting or self._embeds)

    def _take_in(self) -> None:
        """Handle all messages that are there; wait for one if there is nothing to do."""
        if self._idle:
            self._handle(self._inbox.get())
        while not self._inbox.empty():
            self._handle(self._inbox.get())

    def _handle(self, message: Any) -> None:
        try:
            self._dispatch(message)
        except EngineError as error:
            self._send(failure(message.id, error))

    def _dispatch(self, message: Any) -> None:
        model = self._engine.model
        work: Callable[[], Any]
        match message:
            case Generate(id, prompt):
                work = partial(self._prompt_tokens, prompt)
                self._in_background(
                    BackgroundJob(id, work, partial(self._start, message)), len(prompt)
                )
            case Embed(id, texts):
                work = partial(self._engine.embedder.begin, message)
                self._in_background(
                    BackgroundJob(id, work, self._embeds.append), sum(map(len, texts))
                )
            case Tokenize(id, text):
                work = partial(tokens_of, model, message)
                self._in_background(BackgroundJob(id, work, self._send), len(text))
            case Detokenize(id, tokens):
                work = partial(text_of, model, message)
                self._in_background(BackgroundJob(id, work, self._send), len(tokens))
            case JobDone(id, outcome, then):
                if self._background.take(id):
                    taken(outcome, then)
            case GrammarReady(id, outcome):
                self._grammar_ready(id, outcome)
            case Cancel(id):
                self._cancel(id)

    def _in_background(self, job: BackgroundJob, length: int) -> None:
        """Make something of a text: at once, or aside if it is long."""
        if length < LONG:
            job.then(job.work())
        else:
            self._background.submit(job)

    def _start(self, request: Generate, tokens: list[int]) -> None:
        if self._engine.context is None:
            raise CannotGenerate
        most_ctx = self._engine.num_ctx
        num_ctx = min(max(request.num_ctx, MIN_CTX) if request.num_ctx else most_ctx, most_ctx)
        if len(tokens) >= num_ctx:
            raise PromptTooLong(len(tokens), num_ctx)
        most, wanted = MAX_PREDICT_CONTEXTS * num_ctx, request.num_predict
        sampler = SamplerChain(self._engine.model, request.sampling, num_ctx)
        sampler.accept(tokens)
        keep = len(tokens) if request.num_keep < 0 else request.num_keep
        sequence = Sequence(
            id=request.id,
            tokens=tokens,
            num_prompt=len(tokens),
            num_ctx=num_ctx,
            num_predict=wanted if 0 <= wanted <= most else most,
            text=TextStream(request.stop),
            sampler=sampler,
            num_keep=keep + self._engine.model.add_bos,
            shift=request.shift and self._engine.context.can_shift,
        )
        if request.logprobs >= 0:
            sequence.pieces = Pieces(request.logprobs, self._engine.model.name)
        if request.grammar is None:
            self._waiting.append(sequence)
        else:
            self._compile_grammar(sequence, request.grammar)

    def _compile_grammar(self, sequence: Sequence, grammar: Grammar) -> None:
        """Have its grammar compiled; others go on meanwhile."""
        told = partial(GrammarReady, sequence.id)
        job = self._engine.grammars.compile(grammar, lambda made: self._inbox.put(told(made)))
        self._waiting_for_grammar[sequence.id] = sequence, job

    def _grammar_ready(self, request: int, outcome: Compiled | EngineError) -> None:
        if request not in self._waiting_for_grammar:
            return  # cancelled meanwhile
        sequence, job = self._waiting_for_grammar.pop(request)
        if isinstance(outcome, EngineError):
            sequence.close()
            raise outcome
        model, head = self._engine.model, outcome.head()
        sequence.constraint = Constraint(model, job.grammar, outcome.answer(), head)
        self._waiting.append(sequence)

    def _prompt_tokens(self, prompt: str | tuple[int, ...]) -> list[int]:
        model = self._engine.model
        if isinstance(prompt, str):
            tokens = model.tokenize(prompt, add_special=True)
        else:
            tokens = list(prompt)
            for token in (min(tokens, default=0), max(tokens, default=0)):
                if not 0 <= token < model.num_vocab:
                    raise UnknownToken(token, model.num_vocab)
        return tokens or [max(model.bos, 0)]  # something must be decoded

    def _cancel(self, request: int) -> None:
        self._embeds = deque(e for e in self._embeds if e.id != request)
        self._background.take(request)
        if request in self._waiting_for_grammar:
            sequence, job = self._waiting_for_grammar.pop(request)
            job.drop()
            sequence.close()
        for sequence in [s for s in self._waiting if s.id == request]:
            self._waiting.remove(sequence)
            sequence.close()
        for sequence in [s for s in self._kv_cache.sequences if s.id == request]:
            self._end(sequence)

    # --- working ----------------------------------------------------------------------------------

    def _admit(self) -> None:
        while self._waiting and self._kv_cache.num_free:
            sequence = self._waiting.popleft()
            sequence.began_ns = time.perf_counter_ns()
            self._kv_cache.admit(sequence)
        self._kv_cache.close_holes()

    def _step(self) -> None:
        self._kv_cache.shift()
        batches = self._engine.planner.plan(self._kv_cache.sequences)
        if not batches:
            return
        by_id = {item.sequence.id: item.sequence for items in batches for item in items}
        self._active.serve(frozenset(by_id))
        told: list[Event] = []
        for items in batches:
            if not self._inbox.empty():  # somebody's message is more urgent
                break
            events = self._engine.runner.run(items)
            self._kv_cache.settle(computed=events is not None)
            if events is None:  # aborted
                break
            told += events
        self._active.ids = frozenset()
        for event in told:
            if not isinstance(event, Delta):
                self._end(by_id[event.id])
        if told:
            self._send(*told)

    def _embed(self) -> None:
        """One batch of vectors; other requests' tokens come between two of these."""
        if not self._embeds:
            return
        job = self._embeds[0]
        self._active.serve(frozenset({job.id}))
        try:
            if self._inbox.empty() and self._engine.embedder.step(job):
                self._send(self._embeds.popleft().answer())
        except EngineError as error:
            self._embeds.popleft()
            self._send(failure(job.id, error))
        self._active.ids = frozenset()

    def _end(self, sequence: Sequence) -> None:
        self._kv_cache.release(sequence)
        sequence.close()


def taken(outcome: Any, then: Callable[[Any], None]) -> None:
    """Hand on what a thread has made, or raise the error that it met."""
    if isinstance(outcome, EngineError):
        raise outcome
    then(outcome)


def text_of(model: Model, request: Detokenize) -> Text:
    """The answer to a request for a text."""
    return Text(request.id, model.detokenize(request.tokens))


def tokens_of(model: Model, request: Tokenize) -> Tokens:
    """The answer to a request for tokens."""
    tokens = model.tokenize(request.text, add_special=request.add_special)
    count, ends = len(tokens), request.ends
    if 0 < 2 * ends < count:
        tokens = tokens[:ends] + tokens[-ends:]
    return Tokens(request.id, tuple(tokens), count)


def failure(request: int, error: EngineError) -> Failed:
    """An error as a message: its class and what it is made of."""
    return Failed(request, type(error).__name__, tuple(vars(error).values()))
