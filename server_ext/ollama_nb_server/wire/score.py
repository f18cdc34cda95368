"""/api/score, which Ollama does not have: how likely texts are behind prompts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ollama_nb_server.wire.bounds import (
    MAX_CHOICE_CHARS,
    MAX_CHOICES,
    MAX_PROMPTS,
    MAX_SCORED_CHARS,
    MAX_TEXT_CHARS,
)
from ollama_nb_server.wire.chat import Messages
from ollama_nb_server.wire.durations import KeepAliveField
from ollama_nb_server.wire.encoding import encoded
from ollama_nb_server.wire.errors import BadChoices, PromptConflict, RawConflict, TooMuch
from ollama_nb_server.wire.extras import Extras, Waits
from ollama_nb_server.wire.fields import Images, Think
from ollama_nb_server.wire.golike import GoModel, Text
from ollama_nb_server.wire.times import utc

ONE_OF = "prompt, prompts or messages"
OF_A_PROMPT = ("system", "template", "raw", "images")  # what messages bring themselves


class ScoreRequest(GoModel):
    """A prompt, many, or a conversation, and the texts that may stand behind it."""

    go_name: ClassVar[str] = "ScoreRequest"

    model: str | None = None
    prompt: Text | None = None
    prompts: list[Text] | None = None
    messages: Messages = None
    choices: list[Text] | None = None
    system: Text | None = None
    template: Text | None = None
    raw: bool | None = None
    images: Images = None
    think: Think = None
    keep_alive: KeepAliveField = None
    options: dict[str, Any] | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        """The prompts, one or many; none where there is a conversation."""
        return (self.prompt,) if self.prompt is not None else tuple(self.prompts or ())

    def check(self) -> None:
        """Refuse what says in no way, or in several, what is to be scored, and too much of it.

        Raises
        ------
        PromptConflict, RawConflict, BadChoices, TooMuch
        """
        self._check_prompts()
        self._check_choices()
        num_letters = max(len(self.texts), 1) * sum(map(len, self.choices or ()))
        if num_letters > MAX_SCORED_CHARS:
            raise TooMuch(
                f"{len(self.texts):,} prompts times the letters of all choices are more than "
                f"{MAX_SCORED_CHARS:,}; send the prompts in parts"
            )

    def _check_prompts(self) -> None:
        given = [self.prompt, self.prompts or None, self.messages or None]
        if sum(value is not None for value in given) != 1:
            raise PromptConflict(f"give one of {ONE_OF}, and not an empty list")
        if self.messages:
            self._check_beside_messages()
        if self.raw and (self.system or self.template):
            raise RawConflict
        if self.images and self.prompts:
            raise PromptConflict("images belong to one prompt: send prompt instead of prompts")
        if self.think:
            raise PromptConflict(
                "a score is that of the answer itself, before which nothing is thought: leave "
                "think out"
            )
        if len(self.texts) > MAX_PROMPTS or sum(map(len, self.texts)) > MAX_TEXT_CHARS:
            raise TooMuch(
                f"prompts: at most {MAX_PROMPTS:,} of {MAX_TEXT_CHARS:,} letters together; send "
                "them in parts"
            )

    def _check_beside_messages(self) -> None:
        for name in OF_A_PROMPT:
            if getattr(self, name):
                raise PromptConflict(f"{name} belongs to a prompt: messages bring their own")

    def _check_choices(self) -> None:
        choices = self.choices or ()
        if not choices:
            raise BadChoices("choices: send a list of one text at least")
        if "" in choices:
            raise BadChoices(f"choices: text {choices.index('') + 1} is empty")
        if len(choices) > MAX_CHOICES or sum(map(len, choices)) > MAX_CHOICE_CHARS:
            raise TooMuch(
                f"choices: at most {MAX_CHOICES:,} of {MAX_CHOICE_CHARS:,} letters together"
            )


@dataclass(frozen=True, slots=True)
class ScoreResponse:
    """Every choice's log-probability behind every prompt, and those of its tokens.

    `logprobs` has a row a prompt: the tokens of all choices, one choice behind the other.
    """

    model: str
    created_at: int
    choices: Sequence[str]
    tokens: tuple[tuple[int, ...], ...]
    logprobs: tuple[npt.NDArray[np.float64], ...]
    total_duration: int = 0
    load_duration: int = 0
    prompt_eval_count: int = 0
    eval_count: int = 0
    warnings: tuple[str, ...] = ()
    cached_tokens: int = 0
    waited: Waits = field(default_factory=Waits)
    prompt_s: float | None = None

    @property
    def nb(self) -> Extras:
        """What Ollama's other messages have no field for either."""
        return Extras(
            warnings=self.warnings,
            cached_tokens=self.cached_tokens,
            prompt_s=self.prompt_s,
            queue_s=self.waited.queue_s,
            load_s=self.waited.load_s,
        )

    @property
    def num_values(self) -> int:
        """About how many values its document has."""
        return 2 * len(self.logprobs) * (len(self.choices) + sum(map(len, self.tokens)))

    def encode(self) -> bytes:
        """The JSON document."""
        return encoded(self.document())

    def document(self) -> dict[str, Any]:
        """As JSON."""
        document: dict[str, Any] = {
            "model": self.model,
            "created_at": utc(self.created_at),
            "results": [{"scores": list(self._scores(row))} for row in self.logprobs],
        }
        for name in ("total_duration", "load_duration", "prompt_eval_count", "eval_count"):
            if value := getattr(self, name):
                document[name] = value
        return document

    def _scores(self, row: npt.NDArray[np.float64]) -> Iterator[dict[str, Any]]:
        begin = 0
        for choice, tokens in zip(self.choices, self.tokens, strict=True):
            values = row[begin : begin + len(tokens)].tolist()
            begin += len(tokens)
            told = [{"id": t, "logprob": v} for t, v in zip(tokens, values, strict=True)]
            yield {"choice": choice, "logprob": math.fsum(values), "tokens": told}
