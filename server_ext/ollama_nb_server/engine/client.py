"""What a loaded model can be asked, wherever it computes.

`process.Worker` is a process on this machine; nothing here says how messages travel.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from ollama_nb_server.engine.errors import WorkerDied
from ollama_nb_server.engine.messages import (
    Delta,
    Embed,
    Embedded,
    EngineStats,
    Finished,
    Generate,
    Loaded,
    Score,
    Scored,
    Segment,
    TextSegment,
)
from ollama_nb_server.engine.messages import Progress as PromptProgress


class End(Enum):
    """How a request came to its end."""

    FINISHED = "finished"
    CANCELLED = "cancelled"
    FAILED = "failed"
    DIED = "worker died"
    REFUSED = "refused"  # it never got as far as a worker


@dataclass(frozen=True, slots=True)
class Ending:
    """How a request ended, and what had been computed for it, in tokens.

    Of a worker that died nobody can tell that: what it had said of the answer is counted. The
    first text came at `first_text_ns` (`time.perf_counter_ns`), 0: none came. Of the prompt's
    tokens `cached_count` had been computed for an earlier request. Reading the prompt took
    `prompt_ns` and writing the answer `eval_ns`; 0 where the worker does not tell.
    """

    how: End
    prompt_count: int = 0
    eval_count: int = 0
    cached_count: int = 0
    first_text_ns: int = 0
    prompt_ns: int = 0
    eval_ns: int = 0


Ended = Callable[[Ending], None]


def unheard(_: Ending) -> None:
    """Nobody wants to know."""


Segments = str | Sequence[Segment]  # a text is one segment, its special texts are parsed


def segments_of(prompt: Segments) -> tuple[Segment, ...]:
    """A prompt as the engine takes it."""
    return (TextSegment(prompt),) if isinstance(prompt, str) else tuple(prompt)


class EngineClient(Protocol):
    """One loaded model. `alive` ends when it can compute no more.

    `stats` are the latest that it has told.
    """

    info: Loaded
    stats: EngineStats

    @property
    def alive(self) -> bool:
        """Whether it can be asked anything."""

    def new_id(self) -> int:
        """An id for the next request."""

    def generate(
        self, request: Generate, ended: Ended = unheard
    ) -> AsyncGenerator[Delta | PromptProgress | Finished, None]:
        """Run a request; closing the generator cancels it. `ended` is called once, whatever comes.

        The last message of a request that was cancelled is waited for: it uses nothing then.
        """

    async def embed(self, request: Embed, ended: Ended = unheard) -> Embedded:
        """Vectors of texts; cancelling the task cancels the request."""

    async def score(self, request: Score, ended: Ended = unheard) -> Scored:
        """How likely texts are behind prompts; cancelling the task cancels the request."""

    async def tokenize(self, prompt: Segments, *, add_special: bool = False) -> tuple[int, ...]:
        """Token ids of a prompt."""

    async def ends(self, prompt: Segments, num: int) -> tuple[int, tuple[int, ...]]:
        """How many tokens a prompt has, and the first and last `num` of them."""

    async def count(self, prompt: Segments) -> int:
        """How many tokens a prompt has."""

    async def detokenize(self, tokens: Sequence[int]) -> str:
        """The text of token ids."""

    async def wait_dead(self) -> WorkerDied:
        """Wait until it can compute no more, whyever."""

    async def stop(self) -> None:
        """Let go of the model. May be called again."""
