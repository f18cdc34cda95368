"""One request in the engine: its tokens, how far they are computed, its limits, its times."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Protocol

from ollama_nb_server.engine.messages import Finished
from ollama_nb_server.engine.text import TextStream


class Chooser(Protocol):
    """What draws a sequence's next token (natively: a sampler chain)."""

    def close(self) -> None:
        """Free what it holds."""


@dataclass(slots=True, eq=False)
class Sequence:
    """A request from its prompt to its last token.

    `computed` tokens lie in the context's memory; while that is less than `tokens` holds, the rest
    waits to be decoded: the prompt at first, later the newest token.
    """

    id: int
    tokens: list[int]
    num_prompt: int
    num_ctx: int
    num_predict: int
    text: TextStream
    sampler: Chooser
    slot: int = -1
    computed: int = 0
    began_ns: int = field(default_factory=time.perf_counter_ns)
    prompt_done_ns: int = 0

    @property
    def waiting(self) -> int:
        """Tokens still to be decoded."""
        return len(self.tokens) - self.computed

    @property
    def prefilling(self) -> bool:
        """Whether more than one token is to be decoded: a prompt, or all after a lost memory."""
        return self.waiting > 1

    @property
    def num_generated(self) -> int:
        """Tokens that the model has written."""
        return len(self.tokens) - self.num_prompt

    @property
    def out_of_room(self) -> bool:
        """Whether the budget or the context is used up."""
        return self.num_generated >= self.num_predict or len(self.tokens) >= self.num_ctx

    def finished(self, reason: str) -> Finished:
        """The last message of this request."""
        now = time.perf_counter_ns()
        done = self.prompt_done_ns or now
        return Finished(
            self.id, reason, self.num_prompt, done - self.began_ns, self.num_generated, now - done
        )
