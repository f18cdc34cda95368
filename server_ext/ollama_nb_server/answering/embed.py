"""The verbs embed and embeddings: vectors of texts (reference/ollama-http-api.md 8 and 9)."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ollama_nb_server.answering.app_context import AppContext
from ollama_nb_server.answering.generation import (
    Stopwatch,
    check_lengths,
    loss_warnings,
    waits,
    warnings_for,
)
from ollama_nb_server.answering.preparation import find, lease, options_for
from ollama_nb_server.answering.progress import RequestProgress
from ollama_nb_server.answering.prompt import literal_segments, text_guard
from ollama_nb_server.engine.errors import EmbeddingNotFinite
from ollama_nb_server.engine.messages import Embed, Embedded
from ollama_nb_server.library.model import Model
from ollama_nb_server.prompts.truncation import Losses, TruncatedTexts
from ollama_nb_server.scheduling.context import RequestContext
from ollama_nb_server.scheduling.lease import Lease
from ollama_nb_server.wire.embed import (
    EmbeddingsRequest,
    EmbeddingsResponse,
    EmbedRequest,
    EmbedResponse,
)
from ollama_nb_server.wire.options import Options

Vectors = npt.NDArray[np.float32]


async def embed(app: AppContext, request: EmbedRequest, context: RequestContext) -> EmbedResponse:
    """One unit vector a text, in order; cut to `dimensions` and normalised again if asked."""
    watch = Stopwatch()
    texts = request.texts
    model = await find(app, context.caller, request.model)
    options = options_for(app, context, model, request.options)
    progress = app.progress(context)
    held = lease(app, context, model, options, request.keep_alive, progress.ticket)
    async with held as leased:
        warnings = warnings_for(leased, model.name.display, request.options)
        if not texts:
            return EmbedResponse(request.model or "", None, warnings=warnings)
        truncate = request.truncate is not False
        await _check(app, leased, model, texts, options, truncate=truncate)
        embedded, took_ns = await _timed(leased, texts, options, progress, truncate=truncate)
        losses = _losses(embedded, _limit(leased, options))
        warnings += loss_warnings(model.name.display, losses)
        vectors = shortened(_matrix(embedded), request.dimensions or 0)
        return EmbedResponse(
            request.model or "",
            vectors,
            total_duration=watch.elapsed_ns(),
            load_duration=leased.load_ns,
            prompt_eval_count=embedded.prompt_count,
            warnings=warnings,
            truncated=losses.truncated,
            waited=waits(leased),
            prompt_s=round(took_ns / 1e9, 6),
        )


async def embeddings(
    app: AppContext, request: EmbeddingsRequest, context: RequestContext
) -> EmbeddingsResponse:
    """The old way: the vector of one text, never cut; names are not folded here."""
    model = await find(app, context.caller, request.model, fold_case=False)
    options = options_for(app, context, model, request.options)
    progress = app.progress(context)
    held = lease(app, context, model, options, request.keep_alive, progress.ticket)
    async with held as leased:
        warnings = warnings_for(leased, model.name.display, request.options)
        if not request.prompt:
            return EmbeddingsResponse(None, warnings)
        await _check(app, leased, model, (request.prompt,), options, truncate=False)
        embedded, _ = await _timed(leased, (request.prompt,), options, progress, truncate=False)
        return EmbeddingsResponse(_matrix(embedded)[0].astype(np.float64), warnings)


async def _check(
    app: AppContext,
    leased: Lease,
    model: Model,
    texts: Sequence[str],
    options: Options,
    *,
    truncate: bool,
) -> None:
    """Refuse texts that are longer than a user's may be, where they are not cut to less."""
    sharing = app.settings.sharing
    if not truncate or _limit(leased, options) > sharing.max_prompt_tokens:
        guard = text_guard(model, leased.info)
        await check_lengths(leased, [literal_segments(guard, text) for text in texts], sharing)


async def _timed(
    leased: Lease,
    texts: tuple[str, ...],
    options: Options,
    progress: RequestProgress,
    *,
    truncate: bool,
) -> tuple[Embedded, int]:
    """The vectors, and the nanoseconds that they took."""
    worker, limit = leased.worker, _limit(leased, options)
    request = Embed(
        worker.new_id(),
        texts,
        truncate,
        limit,
        num_thread=options.num_thread,
        priority=leased.context.priority,
    )
    progress.waits_in(leased.place)
    async with leased.embedding(progress.ticket) as ended:
        progress.reading()
        began_ns = time.perf_counter_ns()
        embedded = await worker.embed(request, ended)
        return embedded, time.perf_counter_ns() - began_ns


def _limit(leased: Lease, options: Options) -> int:
    """Tokens that a text may have: as asked, also where 1 has no room for any text."""
    return min(options.num_ctx, leased.info.num_ctx)


def _losses(embedded: Embedded, num_ctx: int) -> Losses:
    if not embedded.num_texts_cut:
        return Losses()
    facts = embedded.num_texts_cut, embedded.num_tokens_before, embedded.num_tokens_kept
    return Losses(TruncatedTexts(*facts, num_ctx))


def _matrix(embedded: Embedded) -> Vectors:
    vectors = np.frombuffer(b"".join(embedded.vectors), dtype="<f4")
    matrix: Vectors = vectors.reshape(len(embedded.vectors), -1)
    if not np.isfinite(matrix).all():
        raise EmbeddingNotFinite
    return matrix


def shortened(vectors: Vectors, dimensions: int) -> Vectors:
    """The first `dimensions` columns, each row of length 1 again; as they are if that is no cut."""
    if not 0 < dimensions < vectors.shape[1]:
        return vectors
    cut = vectors[:, :dimensions]
    norms = np.linalg.norm(cut, axis=1, keepdims=True)
    shorter: Vectors = (cut / np.maximum(norms, 1e-12)).astype(np.float32)
    return shorter
