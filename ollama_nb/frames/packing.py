"""How many texts fit into one prompt, and texts in parts that do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ollama_nb.frames.counting import token_counts
from ollama_nb.frames.errors import BadColumns, NoTokenCounts
from ollama_nb.managing.catalogue import listed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

USUAL_CONTEXT = 4096  # tokens, where no server says how many there are
AROUND = 64  # tokens of a model's own template, at most
BETWEEN = 2  # tokens between two texts, at most
LETTERS_A_TOKEN = 2  # where nobody counts: seldom fewer, so that a prompt is rather too short


@dataclass(frozen=True)
class Budget:
    """The tokens that texts may have in one prompt of a model."""

    model: str
    tokens: int

    @classmethod
    def of(cls, model: str, options: Mapping[str, Any], told: str, max_tokens: int) -> Budget:
        """Return what is left beside what all prompts say, and an answer.

        Raises
        ------
        BadColumns
            If that is not enough for two answers, which have to be put together.
        """
        if isinstance(max_tokens, bool) or not isinstance(max_tokens, int) or max_tokens < 1:
            raise BadColumns(f"max_tokens is a number of tokens from 1, not {max_tokens!r}")
        (used,) = counts([told], model)  # which loads the model
        context = int(options.get("num_ctx") or _loaded_context(model))
        left = context - used - AROUND - max_tokens
        if left < 2 * (max_tokens + BETWEEN):
            raise BadColumns(
                f"a context of {context:,} tokens is too short for answers of {max_tokens:,}: "
                "raise num_ctx in options, or lower max_tokens"
            )
        return cls(model, left)

    def parts(self, texts: Sequence[str]) -> list[list[str]]:
        """Return the texts in order, in as few parts as fit; one that is too long is cut up."""
        whole = [piece for text in texts for piece in self._pieces(text)]
        found: list[list[str]] = [[]]
        used = 0
        for piece, count in zip(whole, counts(whole, self.model), strict=True):
            if found[-1] and used + count > self.tokens:
                found.append([])
                used = 0
            found[-1].append(piece)
            used += count + BETWEEN
        return found

    def _pieces(self, text: str) -> list[str]:
        """Cut a text until each piece fits."""
        if len(text) <= self.tokens or counts([text], self.model)[0] <= self.tokens:
            return [text]
        middle = len(text) // 2
        blank = text.rfind(" ", 1, middle)
        middle = blank if blank > 0 else middle
        return [*self._pieces(text[:middle]), *self._pieces(text[middle:].lstrip(" "))]


def counts(texts: Sequence[str], model: str) -> list[int]:
    """Return the tokens of texts, an estimate where a server does not count."""
    try:
        return token_counts(texts, model)
    except NoTokenCounts:
        return [len(text) // LETTERS_A_TOKEN + 1 for text in texts]


def _loaded_context(model: str) -> int:
    """Return the context of a loaded model."""
    names = {model.casefold(), f"{model.casefold()}:latest"}
    for entry in listed("ps"):
        if str(entry.get("model") or entry.get("name")).casefold() in names:
            return int(entry.get("context_length") or USUAL_CONTEXT)
    return USUAL_CONTEXT
