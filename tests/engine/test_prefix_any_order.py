"""Whatever comes in whatever order: every token lies where it is said to, and nothing is left."""

from __future__ import annotations

import random
from collections import deque

import pytest
from ollama_nb_server.engine.batching.planner import BatchPlanner, Item
from ollama_nb_server.engine.messages import Priority
from ollama_nb_server.engine.prefixes import cache as prefix_cache
from ollama_nb_server.engine.prefixes.kv_cache import KVCache
from ollama_nb_server.engine.prefixes.prefix import PrefixRules
from ollama_nb_server.engine.queueing import admit
from ollama_nb_server.engine.sequence import Sequence
from token_memory import BYTES_A_TOKEN, TokenMemory, assert_contents, assert_sound

NUM_CTX, NUM_BATCH, PIECE = 48, 16, 4
RULES = [
    PrefixRules(cut=PIECE),
    PrefixRules(cut=PIECE, whole=True),
    PrefixRules(cut=PIECE, window=10),
]


class NoSampler:
    def close(self) -> None: ...


class Serving:
    """What the engine's loop does with slots, without a model."""

    def __init__(self, rules: PrefixRules, num_slots: int, max_tokens: int) -> None:
        self.memory = TokenMemory(num_slots, rules.whole, rules.window)
        self.cache = KVCache(self.memory, num_slots, rules, max_tokens * BYTES_A_TOKEN)
        self.planner = BatchPlanner(NUM_BATCH)
        self.waiting: deque[Sequence] = deque()
        self.count = self.num_reused = 0

    @property
    def all(self) -> list[Sequence]:
        return [*self.waiting, *self.cache.sequences]

    def ask(self, tokens: list[int], **facts: object) -> None:
        self.count += 1
        self.waiting.append(
            Sequence(
                id=self.count,
                tokens=list(tokens),
                num_prompt=len(tokens),
                num_ctx=NUM_CTX,
                text=None,
                sampler=NoSampler(),
                **facts,
            )
        )

    def leave(self, sequence: Sequence) -> None:
        if sequence in self.waiting:
            self.waiting.remove(sequence)
        else:
            self.cache.release(sequence)
        self.check()

    def step(self, aborted: bool = False, interrupted: bool = False) -> None:
        """One turn of the loop; its computation is broken off, or a message comes before it."""
        before = set(self.cache.sequences)
        admit(self.waiting, self.cache, self.count)
        self.num_reused += sum(s.num_cached for s in self.cache.sequences if s not in before)
        slots = [sequence.slot for sequence in self.cache.sequences]
        assert slots == list(range(len(slots))), "a hole"
        self.check()
        self.cache.shift()
        batches = self.planner.plan(self.cache.sequences)
        assert batches or not self.all, "somebody waits, and nothing is done"
        if interrupted:
            return
        for items in batches:
            self.memory.move_data()
            for item in items:
                if aborted:
                    self.cache.roll_back(item.sequence)
                else:
                    self.compute(item)
            self.cache.settle(computed=not aborted)
            self.check()
            if aborted:
                return

    def compute(self, item: Item) -> None:
        one, at = item.sequence, item.sequence.computed
        self.memory.compute(one.slot, at, one.tokens[at : at + item.count])
        one.computed += item.count
        if not one.waiting:
            if one.out_of_room:
                self.cache.release(one)
            else:
                one.tokens.append(sum(one.tokens) % 3)

    def check(self) -> None:
        assert_sound(self.cache)
        assert_contents(self.cache, self.memory)

    def finish(self) -> None:
        """Nobody comes any more: everybody is answered, and only what is kept is left."""
        for _ in range(100 * self.count):
            if not self.all:
                break
            self.step()
        assert not self.all, "somebody is never answered"
        assert self.cache.num_free == self.cache.num_slots
        assert not self.cache.prefixes.running


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefix_cache, "WORTH", 3)


def prompt(chance: random.Random) -> list[int]:
    """One of few beginnings, and an end of its own."""
    beginning = [chance.randrange(2)] * chance.choice([0, 5, 12, 20])
    return [*beginning, *chance.choices(range(3), k=chance.randint(1, 9))]


def anything(serving: Serving, chance: random.Random) -> None:
    """One thing that may happen."""
    what = chance.random()
    if what < 0.3:
        serving.ask(
            prompt(chance),
            num_predict=chance.choice([0, 1, 4, 60]),
            shift=chance.random() < 0.4,
            reproducible=chance.random() < 0.3,
            priority=chance.choice(list(Priority)),
            salt=chance.choice(["", "", "a"]),
        )
    elif what < 0.4 and serving.all:
        serving.leave(chance.choice(serving.all))
    else:
        serving.step(aborted=chance.random() < 0.1, interrupted=chance.random() < 0.1)


@pytest.mark.parametrize("rules", RULES, ids=["usual", "whole", "window"])
def test_350_interleavings_leave_nothing_behind(rules):
    num_reused = 0
    for seed in range(350):
        chance = random.Random(seed)
        serving = Serving(rules, chance.randint(1, 4), chance.choice([0, 30, 10_000]))
        for _ in range(60):
            anything(serving, chance)
        serving.finish()
        num_reused += serving.num_reused

    assert num_reused > 300
