"""One request in the engine: its tokens, how far they are computed, its limits, its times."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from ollama_nb_server.engine.messages import AUTOMATIC, Failed, Finished, Priority
from ollama_nb_server.engine.salting import salted
from ollama_nb_server.engine.spans import NO_SPANS, Spans
from ollama_nb_server.engine.text import TextStream

if TYPE_CHECKING:  # bookkeeping loads nothing native
    from ollama_nb_server.engine.drafts.prompt_lookup import PromptLookup
    from ollama_nb_server.engine.drafts.record import DraftRecord
    from ollama_nb_server.engine.grammars.constraint import Constraint
    from ollama_nb_server.engine.sampling.logprobs import Pieces
    from ollama_nb_server.engine.scores.scoring import PromptScores

MAX_TAIL = 64  # tokens behind an answer that wait and still count as decoding; more are a prompt
MIN_LOOSE = 4  # tokens of a context that a shift may always drop from, as in llama-server


class Sampler(Protocol):
    """What draws a sequence's next token (natively: a sampler chain)."""

    def close(self) -> None:
        """Free what it holds."""


@dataclass(slots=True, eq=False)
class Sequence:
    """A request from its prompt to its last token.

    `tokens` is what the context is to hold, with IMAGE_ROW for each row of an image in `spans`.
    `computed` of them lie in its memory; while that is less, the rest waits to be decoded: the
    prompt at first, later the newest token. With `shift`, a full context makes room by dropping the
    older half of what stands behind the first `num_keep` tokens, and `discarded` counts what went
    that way. llama.cpp moves the rest in the next computation, whichever that is; until then the
    sequence is `unsettled`. `passed_over` counts the prompt tokens of others that were computed
    while this prompt's turn did not come. `draft` are tokens that are expected behind the last one
    and computed with it (`drafts.speculation`), `num_draft` at most if that is said. `tags` are the
    control tokens that are written out, and their texts. `num_cached` tokens of the prompt had been
    computed for somebody else: for one with the same `salt`, or of the first `num_public` tokens,
    which are everybody's. At `pauses` its prompt is cut, so that its state can be copied there for
    others. A `newcomer`'s prompt comes before others' next tokens. A sequence with `scores` is only
    read: what follows its prompt comes from there.
    """

    id: int
    tokens: list[int]
    num_prompt: int
    num_ctx: int
    num_predict: int
    text: TextStream
    sampler: Sampler
    slot: int = -1
    computed: int = 0
    num_keep: int = 0
    shift: bool = False
    discarded: int = 0
    unsettled: bool = False
    constraint: Constraint | None = None
    pieces: Pieces | None = None
    scores: PromptScores | None = None
    lookup: PromptLookup | None = None
    drafts: DraftRecord | None = None
    num_draft: int = AUTOMATIC
    draft: tuple[int, ...] = ()
    num_drafted: int = 0
    num_accepted: int = 0
    tags: Mapping[int, bytes] = field(default_factory=dict)
    num_thread: int = 0
    priority: Priority = Priority.INTERACTIVE
    newcomer: bool = False
    reproducible: bool = False
    greedy: bool = False
    passed_over: int = 0
    spans: Spans = NO_SPANS
    salt: str = ""
    num_public: int = 0
    num_cached: int = 0
    pauses: set[int] = field(default_factory=set)
    _prompt_keys: list[int] = field(default_factory=list)
    began_ns: int = field(default_factory=time.perf_counter_ns)
    prompt_done_ns: int = 0

    @property
    def waiting(self) -> int:
        """Tokens still to be decoded."""
        return len(self.tokens) - self.computed

    @property
    def prefilling(self) -> bool:
        """Whether a prompt waits, or all after a lost memory; more than what a grammar forced."""
        waiting = len(self.tokens) - self.computed  # asked several times a step: soon answered
        if self.scores is not None:
            return True
        if waiting > 1 and (waiting >= MAX_TAIL or not self.num_generated):
            return True
        return self.spans.ahead(self.computed)

    @property
    def num_alike(self) -> int:
        """How much of what waits may come in one batch: tokens, or rows of one image."""
        end = min((at for at in self.pauses if at > self.computed), default=len(self.tokens))
        return self.spans.border(self.computed, end) - self.computed

    @property
    def keys(self) -> list[int]:
        """What tells its contents from others': the tokens, and the image that each row is of.

        Behind the first `num_public` they are those of its salt alone.
        """
        keys = self.spans.keys(self.tokens)
        if not self.salt:
            return keys
        begin, end = self.num_public, self.num_prompt
        if self.discarded:  # it is nobody's now, but its first tokens are no prompt's any more
            return salted(keys, self.salt)
        if len(self._prompt_keys) < end:  # asked often while it waits
            self._prompt_keys = [*keys[:begin], *salted(keys[begin:end], self.salt)]
        return self._prompt_keys + salted(keys[end:], self.salt)

    @property
    def position(self) -> int:
        """The position of what is computed next."""
        return self.spans.position(self.computed)

    def num_outputs(self, count: int) -> int:
        """Of how many of the next `count` tokens logits are wanted, always the last ones."""
        if self.scores is None:
            return int(count == self.waiting)
        first = self.num_prompt - 1 + self.scores.num_read
        return max(0, min(count, self.computed + count - first))

    @property
    def num_generated(self) -> int:
        """Tokens that the model has written."""
        return len(self.tokens) - self.num_prompt + self.discarded

    @property
    def num_prompt_computed(self) -> int:
        """Tokens of the prompt that have been computed."""
        return min(self.computed + self.discarded, self.num_prompt)

    @property
    def full(self) -> bool:
        """Whether the context has no place for another token."""
        return len(self.tokens) >= self.num_ctx

    @property
    def room_for_draft(self) -> int:
        """Expected tokens that could become part of the answer, and one more behind them."""
        room = min(self.num_ctx - len(self.tokens), self.num_predict - self.num_generated)
        return max(room - 1, 0)

    def accept_draft(self, count: int) -> None:
        """Take note that so many of the draft's tokens were drawn: they have been computed."""
        self.computed += count
        self.num_drafted += len(self.draft)
        self.num_accepted += count
        self.draft = ()

    @property
    def out_of_room(self) -> bool:
        """Whether the budget is used up, or the context for good."""
        return self.num_generated >= self.num_predict or (self.full and not self.shift)

    @property
    def needs_shift(self) -> bool:
        """Whether room must be made before anything else is computed.

        What a grammar has forced is computed first: a full context has room for all its tokens.
        """
        return self.full and self.shift and self.waiting <= 1

    @property
    def outdated(self) -> tuple[int, int]:
        """From where to where a full context is dropped (reference/ollama-models.md 6.7)."""
        keep = min(self.num_keep, self.num_ctx - MIN_LOOSE)
        return keep, keep + (self.computed - keep) // 2

    def step_back(self) -> None:
        """Go back to where the memory can be cut, after an aborted computation."""
        self.computed = self.spans.resumption(self.computed)

    def drop(self, begin: int, end: int) -> None:
        """Take note that the context has dropped these tokens and moved the later ones down."""
        del self.tokens[begin:end]
        self.computed -= end - begin
        self.discarded += end - begin
        self.unsettled = True

    def close(self) -> None:
        """Free what is native."""
        self.sampler.close()

    def finished(self, reason: str) -> Finished:
        """The last message of this request."""
        now = time.perf_counter_ns()
        done = self.prompt_done_ns or now
        return Finished(
            self.id,
            "stop" if self.text.stopped else reason,
            self.num_prompt,
            done - self.began_ns,
            self.num_generated,
            now - done,
            stop=self.text.stopped,
            cached_count=self.num_cached,
            drafted_count=self.num_drafted,
            accepted_count=self.num_accepted,
        )

    def failed(self, error: str, *arguments: str | int) -> Failed:
        """The last message of this request if it fails: a class of errors, and what it tells."""
        computed, generated = self.num_prompt_computed, self.num_generated
        return Failed(self.id, error, arguments, prompt_count=computed, eval_count=generated)
