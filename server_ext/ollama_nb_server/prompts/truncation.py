"""How a prompt that is too long is cut (reference/ollama-models.md 6.6). Token ids in and out."""

from __future__ import annotations

from ollama_nb_server.prompts.errors import PromptCannotBeCut


def cut_middle(
    count: int,
    tokens: tuple[int, ...],
    *,
    num_ctx: int,
    num_keep: int,
    add_bos: bool,
    shift: bool,
) -> tuple[int, ...] | None:
    """Keep the first `num_keep` tokens and as much of the tail as leaves half the rest free.

    None if the prompt may stay as it is.

    Parameters
    ----------
    count
        Number of tokens of the whole prompt.
    tokens
        All of them, or at least its first and its last `num_ctx`.
    num_ctx
        Size of the context in tokens; a prompt of up to `num_ctx - 1` stays as it is.
    num_keep
        Tokens kept at the front (negative: all that fit); one more if the tokenizer adds BOS.
    shift
        Whether cutting is allowed at all.

    Raises
    ------
    PromptCannotBeCut
        If it is too long and `shift` is off.
    """
    if count <= num_ctx - 1:
        return None
    if not shift:
        raise PromptCannotBeCut(count, num_ctx)
    keep = count if num_keep < 0 else num_keep + add_bos
    keep = min(keep, num_ctx - 1)
    limit = num_ctx - max((num_ctx - keep) // 2, 1)
    tail = limit - keep
    return tokens[:keep] + (tokens[-tail:] if tail > 0 else ())
