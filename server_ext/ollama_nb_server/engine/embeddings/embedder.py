"""Vectors of texts: cut to the limit, computed piece by piece, pooled, of length 1, in their order.

How a piece is computed is the affair of `hidden_states`; whose turn it is, of `core`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ollama_nb_server.engine.embeddings.hidden_states import (
    CHUNK,
    CHUNKED,
    FIRST,
    ROWS_TOGETHER,
    HiddenStates,
)
from ollama_nb_server.engine.embeddings.plan import Packing, Piece
from ollama_nb_server.engine.embeddings.tile_packing import TILE, num_rows
from ollama_nb_server.engine.embeddings.tile_trial import tiles_alike
from ollama_nb_server.engine.errors import (
    CannotEmbed,
    EmbeddingNotFinite,
    InputTooLong,
    NoRoomForInput,
)
from ollama_nb_server.engine.messages import Embed, Embedded
from ollama_nb_server.engine.native import AbortSwitch, Floats, Model, Pooling


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


class PooledVector:
    """The vector of one text, from those of its tokens as they come."""

    def __init__(self, pooling: Pooling | None) -> None:
        self._pooling, self.num_tokens = pooling, 0
        self._sum: npt.NDArray[np.float64] = np.zeros(1)

    def add(self, rows: Floats) -> None:
        """Take the next tokens' vectors in."""
        if self._pooling is Pooling.LAST:
            self._sum = rows[-1].astype(np.float64)
        elif self._pooling is not Pooling.CLS:  # the mean, also where none is named
            self._sum = self._sum + rows.sum(axis=0, dtype=np.float64)
        elif not self.num_tokens:
            self._sum = rows[0].astype(np.float64)
        self.num_tokens += len(rows)

    def unit(self) -> bytes:
        """It as float32, of length 1, which makes a sum and a mean the same.

        Raises
        ------
        EmbeddingNotFinite
        """
        if not np.isfinite(self._sum).all():
            raise EmbeddingNotFinite
        norm = max(float(np.linalg.norm(self._sum)), 1e-12)
        return (self._sum / norm).astype("<f4").tobytes()


@dataclass(frozen=True, slots=True)
class CutText:
    """The tokens that are computed of a text, and how many it has."""

    tokens: list[int]
    num_tokens_before: int

    @property
    def is_cut(self) -> bool:
        """Whether some are left out."""
        return len(self.tokens) < self.num_tokens_before


@dataclass(slots=True, eq=False)
class Job:
    """A request on its way: what is still to be computed, and the vectors that are there."""

    request: Embed
    texts: Sequence[list[int]]
    pieces: deque[Piece]
    told: Embedded  # without vectors
    vectors: list[bytes]  # of the texts in their order; empty where one is to come
    begun: PooledVector | None = None  # of the first piece's text, where it comes in chunks

    @classmethod
    def of(cls, request: Embed, texts: Sequence[CutText], packing: Packing) -> Job:
        """A request whose texts are tokens now."""
        cut = [text for text in texts if text.is_cut]
        told = Embedded(
            request.id,
            vectors=(),
            prompt_count=sum(len(text.tokens) for text in texts),
            num_texts_cut=len(cut),
            num_tokens_before=sum(text.num_tokens_before for text in cut),
            num_tokens_kept=sum(len(text.tokens) for text in cut),
        )
        tokens = [text.tokens for text in texts]
        return cls(request, tokens, packing.pieces(tokens), told, [b""] * len(tokens))

    @property
    def id(self) -> int:
        """The request's."""
        return self.request.id

    @property
    def num_computed(self) -> int:
        """Tokens that have been computed."""
        begun = self.begun.num_tokens if self.begun else 0
        left = sum(place.length for piece in self.pieces for place in piece.places)
        return self.told.prompt_count - left + begun

    def answer(self) -> Embedded:
        """The message that ends the request."""
        return replace(self.told, vectors=tuple(self.vectors))


class Embedder:
    """Embeds texts with one model, a piece of a request at a time."""

    def __init__(self, model: Model, num_ctx: int, threads: int, abort: AbortSwitch) -> None:
        self._model = model
        self._limit = min(num_ctx, model.num_ctx_train)
        self._affixes = Affixes.of(model)
        self._states = HiddenStates(model, threads, abort)
        self._chunked: Job | None = None  # whose text is partly computed
        self._num_tiles = 0  # of a batch whose texts share them

    def close(self) -> None:
        """Free the context."""
        self._states.close()

    @property
    def size_bytes(self) -> int:
        """Roughly the memory of the context that is there; 0 before the first text."""
        return self._states.size_bytes

    def prove(self, lengths: tuple[int, ...]) -> None:
        """Compute texts of these lengths, so that a processor that cannot dies here.

        Finds out as well whether texts of an encoder may share tiles.
        """
        if self._model.pooling is Pooling.RANK:  # its scores are never read
            return
        for length in lengths:
            self._states.compute([(FIRST, 0, [max(self._model.bos, 0)] * min(length, self._limit))])
            self._states.forget(FIRST)
        count = self._states.max_tiles
        if self._states.encodes and self._limit >= TILE:
            alike = tiles_alike(self._states, self._model.num_vocab, count)
            self._num_tiles = count if alike else 0

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
        states = self._states
        packing = Packing(states.max_texts, ROWS_TOGETHER, self._num_tiles, states.takes_chunks)
        return Job.of(request, [self._cut(text, request) for text in request.texts], packing)

    def next_of(self, jobs: Iterable[Job]) -> Job:
        """The first of the most urgent that can go on: only one text may be partly computed."""
        able = (job for job in jobs if self._chunked in (None, job) or not self._takes_chunks(job))
        return min(able, key=lambda job: job.request.priority)

    def use_threads(self, threads: int) -> None:
        """Compute the next pieces with so many threads."""
        self._states.use_threads(threads)

    def step(self, job: Job) -> bool:
        """Compute one piece of a request: a chunk of a long text, or some texts; True if the last.

        An aborted piece is computed again in the next step.

        Raises
        ------
        EmbeddingNotFinite, DecodeFailed
            The request has failed then.
        """
        try:
            if self._takes_chunks(job):
                self._compute_chunk(job)
            elif job.pieces:
                self._compute_texts(job)
        except Exception:
            self._recover(job)
            raise
        return not job.pieces

    def drop(self, job: Job) -> None:
        """Forget what is computed of a request that nobody waits for any more."""
        if self._chunked is job:
            self._states.forget(CHUNKED)
            self._chunked, job.begun = None, None

    @staticmethod
    def _takes_chunks(job: Job) -> bool:
        return bool(job.pieces) and job.pieces[0].chunked

    def _compute_chunk(self, job: Job) -> None:
        number = job.pieces[0].places[0].text
        text = job.texts[number]
        begun = job.begun = job.begun or PooledVector(self._model.pooling)
        self._chunked, at = job, begun.num_tokens
        rows = self._states.compute([(CHUNKED, at, text[at : at + CHUNK])], len(text))
        if rows is None:
            if not self._states.forget(CHUNKED, at):  # a recurrent state has no yesterday
                self.drop(job)
            return
        begun.add(rows[0])
        if begun.num_tokens == len(text):
            job.vectors[number] = begun.unit()
            job.pieces.popleft()
            self.drop(job)

    def _compute_texts(self, job: Job) -> None:
        piece = job.pieces[0]
        rows = self._tiled(job, piece) if piece.tiled else self._in_rows(job, piece)
        if rows is None:
            return
        for place, vectors in zip(piece.places, rows, strict=True):
            pooled = PooledVector(self._model.pooling)
            pooled.add(vectors)
            job.vectors[place.text] = pooled.unit()
        job.pieces.popleft()

    def _tiled(self, job: Job, piece: Piece) -> list[Floats] | None:
        placed = [(place.row, job.texts[place.text]) for place in piece.places]
        return self._states.compute_tiled(placed, num_rows(piece.places))

    def _in_rows(self, job: Job, piece: Piece) -> list[Floats] | None:
        texts = [job.texts[place.text] for place in piece.places]
        items = [(seq, 0, text) for seq, text in enumerate(texts, FIRST)]
        rows = self._states.compute(items)
        for seq, _, _ in items:
            self._states.forget(seq)
        return rows

    def _recover(self, job: Job) -> None:
        """Leave nothing of a failed request that could reach another one's numbers."""
        for each in (job, self._chunked):
            if each is not None:
                self.drop(each)
        self._states.wipe()

    def _cut(self, text: str, request: Embed) -> CutText:
        num_ctx = min(request.num_ctx or self._limit, self._limit)
        room = num_ctx - len(self._affixes)
        if room <= 0:
            raise NoRoomForInput(num_ctx)
        tokens = self._model.tokenize(text, add_special=False, parse_special=False)
        before = len(tokens) + len(self._affixes)
        if len(tokens) > room and not request.truncate:
            raise InputTooLong(before, num_ctx)
        whole = self._affixes.around(tokens[:room])
        # an empty text still has a vector
        return CutText(whole or [max(self._model.eos, 0)], before)
