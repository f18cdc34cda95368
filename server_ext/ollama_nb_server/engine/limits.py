"""How many tokens a request may use, and what happens to a prompt that has more."""

from __future__ import annotations

from ollama_nb_server.engine.errors import PromptTooLong
from ollama_nb_server.engine.messages import Generate, Score

MIN_CTX = 4


def context_limit(num_ctx: int, request: Generate | Score) -> int:
    """The request's own limit, at most a slot's `num_ctx`."""
    wanted = max(request.num_ctx, MIN_CTX) if request.num_ctx else num_ctx
    return min(wanted, num_ctx)


def check_length(num_tokens: int, limit: int) -> None:
    """Refuse a prompt that leaves no place for a token.

    Raises
    ------
    PromptTooLong
    """
    if num_tokens >= limit:
        raise PromptTooLong(num_tokens, limit)
