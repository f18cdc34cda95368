"""What is said of an answer that was cut: why it ended early, and what to raise.

That a prompt was cut, the server says; both are among an answer's `.warnings`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def of_answer(
    done_reason: str | None, num_tokens: int | None, options: Mapping[str, Any]
) -> str | None:
    """Return the sentence about an answer that met a limit of tokens; None for a whole one.

    >>> of_answer("length", 20, {"num_predict": 20})
    'the answer was cut after 20 tokens, by num_predict=20; raise it for more'
    """
    if done_reason != "length":
        return None
    after = f" after {num_tokens:,} tokens" if num_tokens else ""
    limit = options.get("num_predict")
    if isinstance(limit, int) and num_tokens is not None and num_tokens >= limit > 0:
        return f"the answer was cut{after}, by num_predict={limit}; raise it for more"
    return f"the answer was cut{after}: raise num_predict, or num_ctx where the context is full"
