"""Vectors of texts: cut to the limit, several in one batch, pooled, of length 1, in their order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from ollama_nb_server.engine.errors import (
    CannotEmbed,
    EmbeddingNotFinite,
    InputTooLong,
    NoRoomForInput,
)
from ollama_nb_server.engine.messages import Embed, Embedded
from ollama_nb_server.engine.native import (
    AbortSwitch,
    Batch,
    Context,
    Floats,
    Model,
    Pooling,
    embedding_context,
)

MAX_TEXTS = 64  # sequences in one batch
MIN_BATCH = 512  # tokens in one batch, at least; every one costs memory for a row of logits


@dataclass(frozen=True, slots=True)
class Affixes:
    """The special tokens that the tokenizer puts around a text."""

    before: tuple[int, ...]
    after: tuple[int, ...]

    @classmethod
    def of(cls, model: Model) -> Affixes:
        """Read them off a short text."""
        bare = model.tokenize("a", add_special=False)
        full = model.tokenize("a", add_special=True)
        start = next(
            (i for i in range(len(full)) if full[i : i + len(bare)] == bare), len(full) - len(bare)
        )
        return cls(tuple(full[:start]), tuple(full[start + len(bare) :]))

    def around(self, tokens: list[int]) -> list[int]:
        """The text's tokens with these around them."""
        return [*self.before, *tokens, *self.after]

    def __len__(self) -> int:
        return len(self.before) + len(self.after)


@dataclass(slots=True)
class Job:
    """A request on its way: the batches still to be computed, and the vectors that are there."""

    id: int
    groups: deque[list[list[int]]]
    prompt_count: int
    vectors: list[bytes] = field(default_factory=list)

    def answer(self) -> Embedded:
        """The message that ends the request."""
        return Embedded(self.id, tuple(self.vectors), self.prompt_count)


class Embedder:
    """Embeds texts with one model.

    Its context is made for the first request, and made larger for the first longer text: pooling
    needs a text whole in one batch.
    """

    def __init__(self, model: Model, num_ctx: int, threads: int, abort: AbortSwitch) -> None:
        self._model, self._threads, self._abort = model, threads, abort
        self._limit = min(num_ctx, model.num_ctx_train)
        self._affixes = Affixes.of(model)
        self._context: Context | None = None
        self._batch: Batch

    def close(self) -> None:
        """Free the context."""
        if self._context is not None:
            self._context.close()
            self._context = None

    def prove(self, lengths: tuple[int, ...]) -> None:
        """Compute texts of these lengths, so that a processor that cannot dies here."""
        if self._model.pooling is Pooling.RANK:  # its scores are never read
            return
        for length in lengths:
            self._vectors([[max(self._model.bos, 0)] * min(length, self._limit)])

    def begin(self, request: Embed) -> Job:
        """Cut the texts to tokens, and the tokens to the limit.

        Raises
        ------
        CannotEmbed
            A reranker has scores of its own length (`n_cls_out`) where others have vectors.
        NoRoomForInput, InputTooLong
            One bad text fails the whole request.
        """
        if self._model.pooling is Pooling.RANK:
            raise CannotEmbed
        texts = [self._tokens(text, request) for text in request.texts]
        return Job(request.id, deque(self._groups(texts)), sum(map(len, texts)))

    def step(self, job: Job) -> bool:
        """Compute one batch of a request; True if it was the last.

        An aborted batch changes nothing.

        Raises
        ------
        EmbeddingNotFinite, DecodeFailed
            The request has failed then.
        """
        rows = self._vectors(job.groups[0])
        if rows is not None:
            job.groups.popleft()
            job.vectors += rows
        return not job.groups

    def _tokens(self, text: str, request: Embed) -> list[int]:
        num_ctx = min(request.num_ctx or self._limit, self._limit)
        room = num_ctx - len(self._affixes)
        if room <= 0:
            raise NoRoomForInput(num_ctx)
        tokens = self._model.tokenize(text, add_special=False)
        if len(tokens) > room and not request.truncate:
            raise InputTooLong(len(tokens) + len(self._affixes), num_ctx)
        whole = self._affixes.around(tokens[:room])
        return whole or [max(self._model.eos, 0)]  # an empty text still has a vector

    def _groups(self, texts: list[list[int]]) -> Iterator[list[list[int]]]:
        """Neighbouring texts that fit one batch."""
        room = max([MIN_BATCH, *map(len, texts)])
        group: list[list[int]] = []
        for text in texts:
            if group and (len(group) == MAX_TEXTS or sum(map(len, group)) + len(text) > room):
                yield group
                group = []
            group.append(text)
        if group:
            yield group

    def _vectors(self, group: list[list[int]]) -> list[bytes] | None:
        context, batch = self._opened(sum(map(len, group)))
        batch.fill([(seq, 0, tokens, True) for seq, tokens in enumerate(group)])
        batch.all_outputs()
        try:
            if not context.decode(batch):
                return None
            return [_unit(context.embedding(seq)) for seq in range(len(group))]
        finally:
            context.clear()

    def _opened(self, num_tokens: int) -> tuple[Context, Batch]:
        if self._context is None or num_tokens > self._batch.room:
            self.close()
            self._batch = Batch(max(MIN_BATCH, 1 << (num_tokens - 1).bit_length()))
            self._context = embedding_context(
                self._model,
                num_tokens=self._batch.room,
                num_seqs=MAX_TEXTS,
                threads=self._threads,
                abort=self._abort,
            )
        return self._context, self._batch


def _unit(vector: Floats) -> bytes:
    if not np.isfinite(vector).all():
        raise EmbeddingNotFinite
    norm = max(float(np.linalg.norm(vector)), 1e-12)
    return (vector / norm).astype("<f4").tobytes()
