"""How a prompt that is too long is cut (reference/ollama-models.md 6.6), and what is lost by it.

Token ids in and out; nobody's text is lost without a value here that tells how much.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ollama_nb_server.prompts.conversation import Turn
from ollama_nb_server.prompts.errors import PromptCannotBeCut


@dataclass(frozen=True, slots=True)
class Truncation:
    """Tokens that were cut out of a prompt's middle."""

    num_tokens_before: int
    num_tokens_kept: int
    num_ctx: int

    @property
    def warning(self) -> str:
        """For whoever asked, in a sentence that says what to do."""
        return (
            f"the prompt was cut in its middle: {self.num_tokens_kept} of {self.num_tokens_before} "
            f"tokens were kept, for a context of {self.num_ctx} (raise num_ctx to keep all)"
        )


@dataclass(frozen=True, slots=True)
class TruncatedTexts:
    """Tokens that were cut off the ends of texts to be embedded."""

    num_texts: int
    num_tokens_before: int
    num_tokens_kept: int
    num_ctx: int

    @property
    def warning(self) -> str:
        """For whoever asked, in a sentence that says what to do."""
        return (
            f"{self.num_texts} of the texts were cut at their ends: {self.num_tokens_kept} of "
            f"{self.num_tokens_before} tokens were kept, for a context of {self.num_ctx} "
            "(raise num_ctx, or embed smaller parts)"
        )


@dataclass(frozen=True, slots=True)
class DroppedTurns:
    """Turns that were left out at a conversation's beginning."""

    num_turns_before: int
    num_turns_dropped: int
    num_ctx: int

    @property
    def warning(self) -> str:
        """For whoever asked, in a sentence that says what to do."""
        return (
            f"the oldest {self.num_turns_dropped} of {self.num_turns_before} messages were left "
            f"out, for a context of {self.num_ctx} tokens (raise num_ctx to keep all)"
        )


@dataclass(frozen=True, slots=True)
class Losses:
    """All of a request that the model will not read."""

    truncation: Truncation | TruncatedTexts | None = None
    dropped: DroppedTurns | None = None

    @property
    def warnings(self) -> tuple[str, ...]:
        """One for each."""
        return tuple(loss.warning for loss in (self.dropped, self.truncation) if loss is not None)

    @property
    def truncated(self) -> tuple[int, int] | None:
        """Tokens before and tokens kept, if there were too many."""
        cut = self.truncation
        return None if cut is None else (cut.num_tokens_before, cut.num_tokens_kept)

    @property
    def num_turns_dropped(self) -> int:
        """How many messages are not in the prompt."""
        return 0 if self.dropped is None else self.dropped.num_turns_dropped


@dataclass(frozen=True, slots=True)
class FittedTurns:
    """The conversation that fits, and what of it does not."""

    turns: Sequence[Turn]
    dropped: DroppedTurns | None = None


@dataclass(frozen=True, slots=True)
class CutPrompt:
    """The tokens that are left of a prompt, and what they lack."""

    tokens: tuple[int, ...]
    truncation: Truncation


def cut_middle(
    count: int,
    tokens: tuple[int, ...],
    *,
    num_ctx: int,
    num_keep: int,
    add_bos: bool,
    shift: bool,
) -> CutPrompt | None:
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
    kept = tokens[:keep] + (tokens[-tail:] if tail > 0 else ())
    return CutPrompt(kept, Truncation(count, len(kept), num_ctx))
