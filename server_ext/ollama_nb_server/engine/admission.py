"""From a request and its tokens to a sequence: its limits, its sampler.

When a sequence gets a slot is decided in `core`, what it needs of the model in `engine`.
"""

from __future__ import annotations

from ollama_nb_server.engine.engine import Engine
from ollama_nb_server.engine.errors import CannotGenerate
from ollama_nb_server.engine.grammars.tags import tag_tokens
from ollama_nb_server.engine.limits import check_length, context_limit
from ollama_nb_server.engine.messages import Generate
from ollama_nb_server.engine.sampling.chain import SamplerChain
from ollama_nb_server.engine.sampling.logprobs import Pieces
from ollama_nb_server.engine.sequence import Sequence
from ollama_nb_server.engine.spans import EncodedPrompt
from ollama_nb_server.engine.text import TextStream

MAX_PREDICT_CONTEXTS = 10  # num_predict is at most so many contexts (reference 6.8)


def new_sequence(engine: Engine, request: Generate, prompt: EncodedPrompt) -> Sequence:
    """A request ready to be computed; whoever takes it closes it.

    Raises
    ------
    CannotGenerate, PromptTooLong
        If the model only embeds, or the prompt leaves no place for a token.
    """
    if engine.context is None:
        raise CannotGenerate
    tokens, num_ctx = prompt.tokens, context_limit(engine.num_ctx, request)
    check_length(len(tokens), num_ctx)
    sampler = SamplerChain(engine.model, request.sampling, num_ctx)
    sampler.accept(tokens)
    num_keep = len(tokens) if request.num_keep < 0 else request.num_keep
    return Sequence(
        id=request.id,
        tokens=tokens,
        num_prompt=len(tokens),
        num_ctx=num_ctx,
        num_predict=_num_predict(request.num_predict, num_ctx),
        text=TextStream(request.stop),
        sampler=sampler,
        num_keep=num_keep + engine.model.add_bos,
        spans=prompt.spans,
        shift=request.shift and engine.context.can_shift and not prompt.spans,
        num_thread=request.num_thread,
        priority=request.priority,
        newcomer=request.newcomer,
        greedy=request.sampling.temperature <= 0,
        reproducible=request.reproducible and not engine.offloaded,  # a GPU keeps no such promise
        salt=request.salt,
        num_public=prompt.num_public,
        num_draft=request.num_draft,
        pieces=Pieces(request.logprobs, engine.model.name) if request.logprobs >= 0 else None,
        tags=tag_tokens(engine.model, request.tags),
    )


def _num_predict(wanted: int, num_ctx: int) -> int:
    most = MAX_PREDICT_CONTEXTS * num_ctx
    return wanted if 0 <= wanted <= most else most
