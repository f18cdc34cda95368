"""The engine's loop: take requests in, step while there is work, send what became of it.

Runs on the worker's main thread. Requests come through a queue; cancellations also flip the abort
switch from the reading thread (see `worker`), so that a long computation ends at once.
"""

from __future__ import annotations

import queue
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from ollama_nb_server.engine.embedding import Job
from ollama_nb_server.engine.errors import CannotGenerate, EngineError, PromptTooLong, UnknownToken
from ollama_nb_server.engine.memory import Slots
from ollama_nb_server.engine.messages import (
    Cancel,
    Delta,
    Detokenize,
    Embed,
    Failed,
    Generate,
    Text,
    Tokenize,
    Tokens,
)
from ollama_nb_server.engine.native import AbortSwitch, Sampler
from ollama_nb_server.engine.policy import plan
from ollama_nb_server.engine.running import MIN_CTX, Engine
from ollama_nb_server.engine.sequence import Sequence
from ollama_nb_server.engine.step import Event
from ollama_nb_server.engine.text import TextStream

MAX_PREDICT_CONTEXTS = 10  # num_predict is at most so many contexts (reference 6.8)


class Busy:
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


class Loop:
    """Serves requests until the process ends."""

    def __init__(
        self, engine: Engine, inbox: queue.SimpleQueue[Any], busy: Busy, send: Callable[..., None]
    ) -> None:
        self._engine, self._inbox, self._busy, self._send = engine, inbox, busy, send
        self._slots = Slots(engine.num_parallel)
        self._waiting: deque[Sequence] = deque()
        self._embeds: deque[Job] = deque()

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
        return not (self._slots.sequences or self._waiting or self._embeds)

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
        match message:
            case Generate():
                self._start(message)
            case Embed():
                self._embeds.append(self._engine.embedder.begin(message))
            case Tokenize(id, text, add_special):
                tokens = model.tokenize(text, add_special=add_special)
                self._send(Tokens(id, tuple(tokens)))
            case Detokenize(id, tokens):
                self._send(Text(id, model.detokenize(tokens)))
            case Cancel(id):
                self._cancel(id)

    def _start(self, request: Generate) -> None:
        if self._engine.context is None:
            raise CannotGenerate
        most_ctx = self._engine.num_ctx
        num_ctx = min(max(request.num_ctx, MIN_CTX) if request.num_ctx else most_ctx, most_ctx)
        tokens = self._prompt_tokens(request.prompt)
        if len(tokens) >= num_ctx:
            raise PromptTooLong(len(tokens), num_ctx)
        most, wanted = MAX_PREDICT_CONTEXTS * num_ctx, request.num_predict
        sampler = Sampler(self._engine.model, request.sampling, num_ctx)
        sampler.accept(tokens)
        self._waiting.append(
            Sequence(
                id=request.id,
                tokens=tokens,
                num_prompt=len(tokens),
                num_ctx=num_ctx,
                num_predict=wanted if 0 <= wanted <= most else most,
                text=TextStream(request.stop),
                sampler=sampler,
            )
        )

    def _prompt_tokens(self, prompt: str | tuple[int, ...]) -> list[int]:
        model = self._engine.model
        if isinstance(prompt, str):
            tokens = model.tokenize(prompt, add_special=True)
        else:
            tokens = list(prompt)
            for token in (t for t in tokens if not 0 <= t < model.num_vocab):
                raise UnknownToken(token, model.num_vocab)
        return tokens or [max(model.bos, 0)]  # something must be decoded

    def _cancel(self, request: int) -> None:
        self._embeds = deque(e for e in self._embeds if e.id != request)
        for sequence in [s for s in self._waiting if s.id == request]:
            self._waiting.remove(sequence)
            sequence.sampler.close()
        for sequence in [s for s in self._slots.sequences if s.id == request]:
            self._end(sequence)

    # --- working ----------------------------------------------------------------------------------

    def _admit(self) -> None:
        while self._waiting and self._slots.free:
            sequence = self._waiting.popleft()
            sequence.began_ns = time.perf_counter_ns()
            self._slots.admit(sequence)
        for move in self._slots.close_holes():
            assert self._engine.context is not None
            self._engine.context.move(move.source, move.target)

    def _step(self) -> None:
        batches = plan(self._slots.sequences, self._engine.num_batch, self._engine.tile)
        if not batches:
            return
        by_id = {item.sequence.id: item.sequence for items in batches for item in items}
        self._busy.serve(frozenset(by_id))
        told: list[Event] = []
        for items in batches:
            events = self._engine.stepper.run(items) if self._inbox.empty() else None
            if events is None:  # aborted, or somebody's message is more urgent
                break
            told += events
        self._busy.ids = frozenset()
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
        self._busy.serve(frozenset({job.id}))
        try:
            if self._inbox.empty() and self._engine.embedder.step(job):
                self._send(self._embeds.popleft().answer())
        except EngineError as error:
            self._embeds.popleft()
            self._send(failure(job.id, error))
        self._busy.ids = frozenset()

    def _end(self, sequence: Sequence) -> None:
        assert self._engine.context is not None
        self._engine.context.forget(sequence.slot)
        self._slots.release(sequence)
        sequence.sampler.close()


def failure(request: int, error: EngineError) -> Failed:
    """An error as a message: its class and what it is made of."""
    return Failed(request, type(error).__name__, tuple(vars(error).values()))
