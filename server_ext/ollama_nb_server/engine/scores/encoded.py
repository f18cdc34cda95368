"""From a request for scores to tokens: its prompts as any other, its choices as text behind them.

What becomes of these is `jobs`' affair.
"""

from __future__ import annotations

from collections import abc
from dataclasses import dataclass

from ollama_nb_server.engine.errors import ChoiceWithoutTokens, ScoreTooLong
from ollama_nb_server.engine.limits import context_limit
from ollama_nb_server.engine.literals import literal_tokens
from ollama_nb_server.engine.messages import Score, TextSegment
from ollama_nb_server.engine.native import Model
from ollama_nb_server.engine.prefixes.index import num_shared
from ollama_nb_server.engine.prompt import public_tokens, whole_prompt_tokens
from ollama_nb_server.engine.spans import EncodedPrompt

BEFORE = ("", "\n", "a")  # texts that a choice may stand behind while it is cut into tokens


@dataclass(frozen=True, slots=True)
class EncodedScores:
    """A request's prompts and choices as tokens; each pair fits a context of `num_ctx`."""

    prompts: tuple[EncodedPrompt, ...]
    choices: tuple[tuple[int, ...], ...]
    num_ctx: int


def encoded_scores(
    model: Model,
    num_ctx: int,
    request: Score,
    prompts: abc.Sequence[EncodedPrompt] | None = None,
) -> EncodedScores:
    """The tokens of a request; `prompts` are given where they have images.

    Raises
    ------
    ScoreTooLong, ChoiceWithoutTokens, UnknownToken
    """
    limit = context_limit(num_ctx, request)
    choices = [_choice(model, number, c) for number, c in enumerate(request.choices, 1)]
    longest = max(map(len, choices))
    if prompts is None:
        texts = (whole_prompt_tokens(model, segments) for segments in request.prompts)
        public = public_tokens(model, request.public)
        prompts = [EncodedPrompt(t, num_public=num_shared(t, public)) for t in texts]
    for number, prompt in enumerate(prompts, 1):
        if len(prompt.tokens) + longest > limit:
            raise ScoreTooLong(number, len(prompt.tokens), longest, limit)
    return EncodedScores(tuple(prompts), tuple(choices), limit)


def _choice(model: Model, number: int, choice: abc.Sequence[TextSegment]) -> tuple[int, ...]:
    tokens = [token for part in choice for token in spelled_behind(model, part)]
    if not tokens:
        raise ChoiceWithoutTokens(number)
    return tuple(tokens)


def spelled_behind(model: Model, part: TextSegment) -> list[int]:
    """Tokens of a text that stands behind others: no blank before it, no special tokens in it.

    Some tokenizers put a blank before every text. One that does so is shown the text behind
    another, whose tokens are taken away again.
    """
    meant = part.text.replace(part.seam, "") if part.seam else part.text
    for before in BEFORE:
        first, tokens = (
            literal_tokens(model, text, part.seam) for text in (before, before + part.text)
        )
        rest = tokens[len(first) :]
        if tokens[: len(first)] == first and b"".join(map(model.name, rest)) == meant.encode():
            return rest
    return literal_tokens(model, part.text, part.seam)
