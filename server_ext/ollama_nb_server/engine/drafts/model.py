"""A small model that writes ahead of a large one, which reads what it wrote in one batch.

It keeps a memory of its own of each sequence that it drafts for. Whether its tokens are worth their
rows is decided in `speculation`; they are held against what is drawn in `model_runner`.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from ollama_nb_server.engine.errors import DecodeFailed, LoadFailed
from ollama_nb_server.engine.load_progress import LoadProgress
from ollama_nb_server.engine.messages import LoadSpec
from ollama_nb_server.engine.native import (
    AbortSwitch,
    Batch,
    Context,
    Model,
    NativeLog,
    generation_context,
)

NUM_SLOTS = 4  # sequences that are drafted for at once: beside more of them a draft hardly pays
READ_AT_ONCE = 256  # tokens of a prompt between two steps: whoever is served waits for it
NUM_COMPARED = 1000  # tokens whose texts must be the same in both vocabularies
WEIGHT = 0.25  # of the newest time


@dataclass(slots=True)
class Held:
    """What lies in a slot: `num_read` tokens of the sequence itself, then some drafted ones."""

    slot: int
    tokens: list[int] = field(default_factory=list)
    num_read: int = 0


class DraftModel:
    """Its weights, a context with a few slots, and what lies in them.

    Raises
    ------
    LoadFailed, NotEnoughMemory
        With llama.cpp's reason, or where it does not go with the model that it is to draft for.
        Nothing is left of it then.
    """

    def __init__(
        self,
        spec: LoadSpec,
        target: Model,
        num_ctx: int,
        threads: int,
        log: NativeLog,
        abort: AbortSwitch,
        progress: LoadProgress | None = None,
    ) -> None:
        alone = replace(
            spec, model_path=spec.draft, translation="", adapters=(), projector="", overrides=()
        )
        self._model = Model(alone, log, progress)
        try:
            refuse_stranger(self._model, target, spec.draft)
            self._num_ctx = min(num_ctx, self._model.num_ctx_train)
            self._num_slots = min(NUM_SLOTS, spec.num_parallel or NUM_SLOTS)
            self._batch = Batch(READ_AT_ONCE)
            self._context = self._opened(threads, abort)
        except BaseException:
            self._model.close()
            raise
        self._held: dict[int, Held] = {}
        self.token_s = 0.0  # a drafted token takes, as far as is known

    def _opened(self, threads: int, abort: AbortSwitch) -> Context:
        return generation_context(
            self._model,
            num_ctx=self._num_ctx,
            num_parallel=self._num_slots,
            num_batch=READ_AT_ONCE,
            threads=threads,
            flash=None,
            abort=abort,
        )

    @property
    def size_bytes(self) -> int:
        """Its weights, its slots and its computations."""
        slots = self._num_slots * self._num_ctx * self._model.kv_bytes_per_token
        return self._model.size_bytes + slots + self._model.compute_bytes(READ_AT_ONCE)

    def close(self) -> None:
        """Free the context and the weights."""
        self._context.close()
        self._model.close()

    def set_threads(self, threads: int) -> None:
        """Compute with so many threads from now on."""
        self._context.set_threads(threads)

    def keep_only(self, ids: Collection[int]) -> None:
        """Forget all other sequences."""
        for gone in self._held.keys() - set(ids):
            self._context.forget(self._held.pop(gone).slot)

    def reads(self, id: int, tokens: Sequence[int]) -> bool:
        """Read more of a sequence; whether all but its last token is read, so that it can draft.

        It reads long prompts piece by piece. Where no slot is free, or the sequence is longer than
        its own context, it never does.
        """
        held = self._held.get(id) or self._place(id)
        if held is None or len(tokens) >= self._num_ctx:
            return False
        self._cut(held, tokens)
        missing = tokens[held.num_read : -1][:READ_AT_ONCE]
        if missing and self._computed(held, missing):
            held.num_read += len(missing)
        return held.num_read == len(tokens) - 1

    def draft(self, id: int, tokens: Sequence[int], count: int) -> tuple[int, ...]:
        """The tokens that it would write next; fewer where its context or a computation ends."""
        held, drafted = self._held[id], list[int]()
        count = min(count, self._num_ctx - len(tokens))
        began, last = time.perf_counter(), tokens[-1]
        while len(drafted) < count and self._computed(held, [last], wanted=True):
            held.num_read = max(held.num_read, len(tokens))
            last = int(self._context.logits(-1).argmax())
            drafted.append(last)
        if drafted:
            self._note((time.perf_counter() - began) / len(drafted))
        return tuple(drafted)

    def _place(self, id: int) -> Held | None:
        free = set(range(self._num_slots)) - {held.slot for held in self._held.values()}
        if not free:
            return None
        return self._held.setdefault(id, Held(min(free)))

    def _cut(self, held: Held, tokens: Sequence[int]) -> None:
        """Drop what was drafted and did not come; what did has been read by that."""
        end = min(len(held.tokens), len(tokens) - 1)
        same = min(held.num_read, end)
        while same < end and held.tokens[same] == tokens[same]:
            same += 1
        if same < len(held.tokens) and not self._context.forget(held.slot, same):
            self._context.forget(held.slot)  # a memory that cannot be cut there
            same = 0
        del held.tokens[same:]
        held.num_read = same

    def _computed(self, held: Held, tokens: Sequence[int], *, wanted: bool = False) -> bool:
        """Compute tokens behind what is held; on failure the slot is empty, as if it were new."""
        self._batch.fill([(held.slot, len(held.tokens), tokens, wanted)])
        try:
            done = self._context.decode(self._batch)
        except DecodeFailed:
            done = False
        if done:
            held.tokens += tokens
        else:
            self._context.forget(held.slot)
            held.tokens, held.num_read = [], 0
        return done

    def _note(self, seconds: float) -> None:
        before = self.token_s or seconds
        self.token_s = before + WEIGHT * (seconds - before)


def refuse_stranger(model: Model, target: Model, path: str) -> None:
    """Refuse a model that cannot draft at all, or writes in another vocabulary.

    Raises
    ------
    LoadFailed
    """
    if not model.generates or model.recurs:
        raise LoadFailed(path, "a model of this kind cannot draft")
    sample = range(0, target.num_vocab, max(1, target.num_vocab // NUM_COMPARED))
    same = model.num_vocab == target.num_vocab and all(
        model.token_text(token) == target.token_text(token) for token in sample
    )
    if not same:
        raise LoadFailed(path, "it has another vocabulary than the model that it is to draft for")
