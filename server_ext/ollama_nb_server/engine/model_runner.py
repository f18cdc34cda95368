"""One step: decode the planned batch, draw the next tokens, tell what became text or ended.

Sequences change only after the batch has been computed: an aborted one leaves them as they were.
"""

from __future__ import annotations

import time
from collections import abc
from collections.abc import Generator, Iterable
from contextlib import closing, nullcontext
from itertools import starmap

from ollama_nb_server.engine.batching.planner import Item, note_turns
from ollama_nb_server.engine.errors import DecodeFailed, GrammarDeadEnd, InternalError
from ollama_nb_server.engine.grammars.mask_thread import MaskThread
from ollama_nb_server.engine.messages import Delta, Failed, Finished, Progress
from ollama_nb_server.engine.native import Batch, Context, EmbeddingBatch, Model
from ollama_nb_server.engine.prefixes.kv_cache import KVCache
from ollama_nb_server.engine.sampling.chain import SamplerChain
from ollama_nb_server.engine.sampling.parallel_draws import ParallelDraws
from ollama_nb_server.engine.scores.scoring import read_scores
from ollama_nb_server.engine.sequence import Sequence
from ollama_nb_server.engine.spans import ImageSpan

Event = Delta | Progress | Finished | Failed


class ModelRunner:
    """Computes steps of one context; one that computes on a GPU `waits` for it to be done.

    `spare`: whether a processor has nothing to do while the model computes.
    """

    def __init__(
        self,
        model: Model,
        context: Context,
        kv_cache: KVCache,
        batch: Batch,
        *,
        waits: bool = False,
        num_processors: int = 1,
        spare: bool = False,
    ) -> None:
        self._model, self._context, self._kv_cache, self._batch = model, context, kv_cache, batch
        self._waits = waits
        self._rows = EmbeddingBatch()
        self._draws = ParallelDraws(context, num_processors)
        self._masks = MaskThread(spare=spare)
        self._tokens: dict[int, int] = {}  # that were drawn ahead in this step, by their outputs
        self._pieces: dict[int, bytes | None] = {}

    def run(self, items: abc.Sequence[Item]) -> list[Event] | None:
        """Decode and draw. None: the computation was aborted, and nothing has changed.

        A native error fails every request of the batch; their slots are clean afterwards.
        """
        bound = [item.sequence.constraint for item in items if item.last]
        try:
            with self._masks.ahead([constraint for constraint in bound if constraint]):
                decoded = self._decoded(items)
        except DecodeFailed as error:
            return [i.sequence.failed("DecodeFailed", error.function, error.code) for i in items]
        if not decoded:
            for item in items:
                self._kv_cache.roll_back(item.sequence)
            return None
        note_turns(items, self._kv_cache.sequences)
        if self._waits and any(item.last for item in items):  # whose clock is read
            self._context.synchronize()
        now = time.perf_counter_ns()
        rows: list[tuple[Sequence, range]] = []
        output = -1
        for item in items:
            output += item.count
            first = output + 1 - item.sequence.num_outputs(item.count)
            item.sequence.computed += item.count
            rows.append((item.sequence, range(first, output + 1)))
            output += len(item.sequence.draft)
        self._tokens = self._draws.drawn([draw for draw in starmap(_long_draw, rows) if draw])
        return [event for row in rows for event in self._after(*row, now)]

    def _decoded(self, items: abc.Sequence[Item]) -> bool:
        """Compute a batch of tokens, or of an image's rows; False if it was aborted."""
        first = items[0]
        image = first.sequence.spans.at(first.sequence.computed)
        if image is None:
            self._batch.fill([self._row(item) for item in items])
            return self._context.decode(self._batch)
        self._fill_rows(first, image)
        with self._context.not_causal() if image.at_once else nullcontext():
            return self._context.decode(self._rows)

    def _fill_rows(self, item: Item, image: ImageSpan) -> None:
        begin = item.sequence.computed - image.begin
        end = begin + item.count
        rows, positions = image.rows[begin:end], image.positions[:, begin:end]
        self._rows.fill(item.sequence.slot, rows, positions, item.last)

    @staticmethod
    def _row(item: Item) -> tuple[int, int, abc.Sequence[int], int]:
        """What waits, with the outputs that are wanted of it; then the draft, with one a token."""
        sequence, at, draft = item.sequence, item.sequence.computed, item.sequence.draft
        tokens = [*sequence.tokens[at : at + item.count], *draft]
        return (
            sequence.slot,
            sequence.position,
            tokens,
            sequence.num_outputs(item.count) + len(draft),
        )

    def _after(self, sequence: Sequence, outputs: range, now: int) -> list[Event]:
        """What becomes of a sequence after the batch; a fault of ours ends it alone."""
        if sequence.waiting and sequence.scores is None:
            return [Progress(sequence.id, sequence.num_prompt_computed, sequence.num_prompt)]
        try:
            if sequence.scores is not None:
                read_scores(sequence, map(self._context.logits, outputs), self._kv_cache)
                return []
            return self._drawn(sequence, outputs[-1], now)
        except Exception as error:
            fault = InternalError.of(error)
            return [sequence.failed("InternalError", fault.fault, fault.trace)]

    def _drawn(self, sequence: Sequence, output: int, now: int) -> list[Event]:
        if not sequence.prompt_done_ns:
            sequence.prompt_done_ns = now
            if sequence.out_of_room:  # num_predict 0: nothing is to be drawn at all
                return [sequence.finished("length")]
        text, reason = "", ""
        try:
            with closing(self._drawn_along(sequence, output)) as tokens:
                for token in tokens:
                    sequence.tokens.append(token)
                    text += self._read(sequence, token, output)
                    reason = self._reason(sequence, token)
                    if reason or sequence.full or sequence.pieces:
                        break
        except GrammarDeadEnd as error:
            dead_end = sequence.failed("GrammarDeadEnd", error.reason)
            return [*self._told(sequence, text), dead_end]
        if not reason:
            return self._told(sequence, text)
        text += sequence.text.flush()
        last = self._told(sequence, text, last=True)
        return [*last, sequence.finished(reason)]

    def _drawn_along(self, sequence: Sequence, output: int) -> Generator[int, None, None]:
        """The tokens of a step: behind what waited, and behind each of the draft that is drawn.

        Each is drawn from the logits of what really stands before it, as without a draft. Of a
        draft that goes wrong, the rest is forgotten.
        """
        draft, num_right, right = sequence.draft, 0, True
        try:
            while right:
                before = num_right
                for token in self._following(sequence, output + num_right):
                    right = right and draft[num_right : num_right + 1] == (token,)
                    num_right += right
                    yield token
                right = right and num_right > before
        finally:
            if draft:
                sequence.accept_draft(num_right)
                self._kv_cache.roll_back(sequence)

    def _following(self, sequence: Sequence, output: int) -> Iterable[int]:
        """The next token, and those that a grammar forces behind it.

        Only one at a time where their probabilities are wanted: each has to be computed first.
        """
        assert isinstance(sequence.sampler, SamplerChain)
        if output in self._tokens:
            return (self._tokens[output],)
        if sequence.constraint is None:
            return (sequence.sampler.sample(self._context, output),)
        return sequence.constraint.following(sequence.sampler, self._context, output)

    def _read(self, sequence: Sequence, token: int, output: int) -> str:
        """What can be shown now that a token has come."""
        piece = self._piece(token)
        if piece is None:
            return ""
        if sequence.tags:
            piece = sequence.tags.get(token) or piece
        if sequence.pieces:
            sequence.pieces.add(self._context.logits(output), token, piece)
        return sequence.text.feed(piece)

    def _reason(self, sequence: Sequence, token: int) -> str:
        """Why the answer ends behind this token, "" if it goes on."""
        complete = sequence.constraint is not None and sequence.constraint.complete
        if complete or sequence.text.stopped or self._piece(token) is None:
            return "stop"
        return "length" if sequence.out_of_room else ""

    @staticmethod
    def _told(sequence: Sequence, text: str, *, last: bool = False) -> list[Event]:
        pieces = sequence.pieces.told(text, last=last) if sequence.pieces else ()
        return [Delta(sequence.id, text, pieces)] if text or pieces else []

    def _piece(self, token: int) -> bytes | None:
        """The bytes of a token; None if it ends a generation."""
        try:
            return self._pieces[token]
        except KeyError:
            ends = self._model.is_end(token)
            piece = self._pieces[token] = None if ends else self._model.piece(token)
            return piece


def _long_draw(sequence: Sequence, outputs: range) -> tuple[SamplerChain, int] | None:
    """The chain and the output of a draw that is long and depends on nothing but these."""
    chain = sequence.sampler
    if not isinstance(chain, SamplerChain) or not chain.is_long or sequence.constraint:
        return None
    return None if sequence.waiting or sequence.out_of_room else (chain, outputs[-1])
