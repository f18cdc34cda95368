"""`logprobs` of an answer (reference/ollama-http-api.md 5): a token, its probability, its bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Logprob:
    """One token of an answer. `logprob` is a natural logarithm, `bytes` are the token's in UTF-8.

    `top` are the likeliest tokens at this place, the likeliest first; none if none were asked for.
    """

    token: str
    logprob: float
    bytes: tuple[int, ...]
    top: tuple[Logprob, ...] = ()

    def document(self) -> dict[str, Any]:
        """As JSON, fields in Ollama's order."""
        document: dict[str, Any] = {
            "token": self.token,
            "logprob": self.logprob,
            "bytes": list(self.bytes),
        }
        return document | ({"top_logprobs": [t.document() for t in self.top]} if self.top else {})


def num_logprobs(tokens: Sequence[Logprob]) -> int:
    """How many tokens are told of, alternatives included."""
    return sum(1 + len(token.top) for token in tokens)


def logprobs_field(tokens: Sequence[Logprob]) -> dict[str, Any]:
    """The field of a response; left out where there are none."""
    return {"logprobs": [token.document() for token in tokens]} if tokens else {}
