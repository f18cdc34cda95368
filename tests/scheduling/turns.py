"""A model with slots, simulated: users' requests come, run token by token, end or are cancelled."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from dataclasses import dataclass

from ollama_nb_server.engine.messages import Priority
from ollama_nb_server.scheduling.fairness import FairQueue, Prices, Turn


@dataclass
class Job:
    """A request: so many tokens of prompt, which come in the first step, then one a step."""

    turn: Turn
    num_prompt: int
    num_output: int
    came: int
    done: int = 0  # output tokens
    begun: int | None = None


class Simulation:
    """Steps of a model with `capacity` slots; everything is checked after every event."""

    def __init__(
        self, capacity: int = 16, num_express: int = 1, max_running: int | None = None
    ) -> None:
        self.fair = FairQueue(capacity, num_express, max_running)
        self.fair.prices = Prices(0.25)
        self.now, self.jobs = 0, dict[int, Job]()
        self.served = defaultdict[str, float](float)  # priced tokens by user, not by weight
        self.begun = list[Turn]()
        self.waits = defaultdict[str, list[int]](list)
        self._id = 0

    def come(
        self,
        user: str,
        num_prompt: int = 40,
        num_output: int = 40,
        weight: float = 1.0,
        priority: Priority = Priority.INTERACTIVE,
    ) -> Turn:
        self._id += 1
        turn = Turn(self._id, user, weight, priority)
        self.jobs[turn.id] = Job(turn, num_prompt, num_output, self.now)
        self.fair.came(turn)
        self._begin()
        return turn

    def cancel(self, turn: Turn) -> None:
        if turn.id not in self.jobs:
            return
        job = self.jobs.pop(turn.id)
        if job.begun is None:
            self.fair.left(turn)
        else:
            self.fair.ended(turn)
        self._begin()

    def step(self) -> None:
        """A token of everything that runs."""
        self.now += 1
        for job in [job for job in self.jobs.values() if job.begun is not None]:
            cost = 1.0 + (0.25 * job.num_prompt if not job.done else 0)
            self.served[job.turn.user] += cost
            job.done += 1
            self.fair.computed(job.turn, job.num_prompt, job.done)
            if job.done == job.num_output:
                del self.jobs[job.turn.id]
                self.fair.ended(job.turn)
        self._begin()

    def waiting(self) -> Counter[str]:
        return Counter(j.turn.user for j in self.jobs.values() if j.begun is None)

    def running(self) -> Counter[str]:
        return Counter(j.turn.user for j in self.jobs.values() if j.begun is not None)

    def _begin(self) -> None:
        expected = self.fair.order()
        begun = self.fair.begin()
        for turn in begun:
            job = self.jobs[turn.id]
            job.begun = self.now
            self.waits[turn.user].append(self.now - job.came)
        self.begun += begun
        self._check(expected, begun)

    def _check(self, expected: list[Turn], begun: list[Turn]) -> None:
        running, waiting, fair = self.running(), self.waiting(), self.fair
        num_running = sum(running.values())
        assert (fair.num_running, fair.num_waiting) == (num_running, sum(waiting.values()))
        assert num_running <= fair.capacity + fair.num_express
        full = [u for u in waiting if fair.max_running and running[u] >= fair.max_running]
        if set(waiting) - set(full):
            assert num_running >= fair.capacity, "a slot is free, and somebody waits for it"
        own = [turn.rank for turn in begun]
        by_user = {
            t.user: [r for r, o in zip(own, begun, strict=True) if o.user == t.user] for t in begun
        }
        assert all(ranks == sorted(ranks) for ranks in by_user.values()), "a user's own order"
        assert Counter(expected).keys() >= set(begun)


def rng(seed: int) -> random.Random:
    return random.Random(seed)
