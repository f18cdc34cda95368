"""Whose turn it is where many users want a model: a virtual counter of tokens for each of them.

Events in, decisions out: no I/O, no clock, no await. This is a Virtual Token Counter (Sheng et al.,
arXiv 2401.00588): a user's counter rises with what is computed for them, divided by
their weight, and the turn is theirs whose counter is the smallest.

- **Price.** An output token counts 1. A prompt token that was computed counts what it takes of the
  engine beside an output token, both as the engine has measured them (`EngineStats`): the time that
  a token of prompt adds to a step, and a step's time shared among those who decode in it, as many
  as ever did. Until both are measured it counts 1 too. What came from the prefix cache is free.
- **Unfinished work counts.** A turn is charged when it begins, with what its user's last requests
  came to, and on as soon as it has come to more; when it ends that is settled.
- **Nobody saves up.** Who had nothing waiting is lifted to what the least of those who wait has
  been served (the counter without what is charged in advance) or, where nobody waits, the last who
  got a turn. When nothing runs and nobody waits, all begin anew.
- **Order.** Interactive requests come before batches, until their user is `HEAD_START` ahead; of
  equal users the one with less running, then first come. A user's own requests keep their order:
  the more urgent, then first come. With one user that is all there is.
- **Express turns.** Beyond `capacity` there are some more for users with nothing running, whose
  counter is as small as any.

Bound: of two users who both have requests waiting all the time, one is served no more than
2 x N x C / w beyond the other (in priced tokens by weight): N turns at once, C the price of the
largest request, w the smaller weight; `HEAD_START` more where only one of them is interactive. So
much is owed to turns that have begun, whose lengths nobody knows: a running answer is not stopped.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field

from ollama_nb_server.engine.messages import Priority

HEAD_START = 8192.0  # priced tokens that an interactive user may be ahead of a batch
RECENT = 0.25  # weight of the newest request in what the next one is expected to cost
LEAST_PRICE = 0.01  # of a prompt token, whatever was measured


@dataclass(frozen=True, slots=True)
class Prices:
    """What a token of a prompt counts, where one of an answer counts 1."""

    prompt: float = 1.0

    @classmethod
    def measured(cls, prompt_token_s: float, output_token_s: float) -> Prices:
        """By the seconds that each takes (0: nobody knows yet)."""
        if not (prompt_token_s and output_token_s):
            return cls()
        return cls(max(prompt_token_s / output_token_s, LEAST_PRICE))

    def cost(self, prompt: int, output: int) -> float:
        """Of so many tokens that were computed."""
        return prompt * self.prompt + output


@dataclass(frozen=True, slots=True)
class Turn:
    """A request for a turn; the `id` rises as they come."""

    id: int
    user: str = ""
    weight: float = 1.0
    priority: Priority = Priority.INTERACTIVE

    @property
    def rank(self) -> tuple[int, int]:
        """Its place among its user's own, the smallest first."""
        return self.priority, self.id


@dataclass(slots=True)
class Running:
    """A turn that has begun: what was charged for it, and the price of what was computed of it."""

    charged: float
    weight: float
    cost: float = 0.0

    @property
    def in_advance(self) -> float:
        """What was charged and is not computed yet, by weight."""
        return (self.charged - self.cost) / self.weight


@dataclass(slots=True)
class Account:
    """What one user has had, and has going on.

    `expected` is what the next request will cost, by the last ones; None: there was none.
    """

    counter: float = 0.0
    expected: float | None = None
    waiting: list[Turn] = field(default_factory=list)  # as they come up
    running: dict[int, Running] = field(default_factory=dict)

    @property
    def served(self) -> float:
        """The counter without what is charged in advance."""
        return self.counter - sum(each.in_advance for each in self.running.values())

    @property
    def key(self) -> tuple[float, int, int]:
        """The place of its first request among those of other users, the smallest first."""
        return key(self.waiting[0], self.counter, len(self.running))


def key(turn: Turn, counter: float, num_running: int) -> tuple[float, int, int]:
    """The place of a request whose user has this counter, and so many others running."""
    ahead = HEAD_START if turn.priority is Priority.INTERACTIVE else 0.0
    return counter - ahead, num_running, turn.id


class FairQueue:
    """The turns at one model: `capacity` at once, and `num_express` for who has nothing running.

    `max_running` is for the turns of one user with a name (None: any number). After every event
    `begin` tells whose turns begin.
    """

    def __init__(self, capacity: int, num_express: int = 0, max_running: int | None = None) -> None:
        self.capacity, self.num_express, self.max_running = capacity, num_express, max_running
        self.prices = Prices()
        self._accounts: dict[str, Account] = {}
        self._last = 0.0  # what the last user was served who got a turn
        self._expected = 0.0  # cost of a request of whom nothing is known

    @property
    def num_running(self) -> int:
        """Turns that have begun and not ended."""
        return sum(len(account.running) for account in self._accounts.values())

    @property
    def num_waiting(self) -> int:
        """Turns that have not begun."""
        return sum(len(account.waiting) for account in self._accounts.values())

    @property
    def counters(self) -> dict[str, float]:
        """The counters of all users who have something going on, or are still ahead of others."""
        return {user: account.counter for user, account in self._accounts.items()}

    @property
    def waiting(self) -> dict[str, int]:
        """How many turns of each user have not begun, where there are any."""
        return {user: len(a.waiting) for user, a in self._accounts.items() if a.waiting}

    def is_newcomer(self, turn: Turn) -> bool:
        """Whether a turn that has begun is its user's only one, and others have some."""
        num_own = len(self._accounts[turn.user].running)
        return num_own == 1 and self.num_running > 1

    def is_waiting(self, turn: Turn) -> bool:
        """Whether a turn has not begun."""
        return turn in self._accounts[turn.user].waiting

    # --- events -----------------------------------------------------------------------------------

    def came(self, turn: Turn) -> None:
        """Somebody wants a turn."""
        account = self._accounts.setdefault(turn.user, Account())
        if not account.waiting:
            account.counter = max(account.counter, self._floor())
        account.waiting.append(turn)
        account.waiting.sort(key=lambda each: each.rank)

    def left(self, turn: Turn) -> None:
        """Who has waited for it wants it no more."""
        self._accounts[turn.user].waiting.remove(turn)
        self._forget()

    def computed(self, turn: Turn, prompt: int, output: int) -> None:
        """So many tokens have been computed for a turn by now."""
        account = self._accounts[turn.user]
        running = account.running[turn.id]
        running.cost = self.prices.cost(prompt, output)
        if running.cost > running.charged:
            account.counter += (running.cost - running.charged) / turn.weight
            running.charged = running.cost

    def ended(self, turn: Turn) -> None:
        """A turn is over, and all that was computed for it has been told."""
        account = self._accounts[turn.user]
        running = account.running.pop(turn.id)
        account.counter += (running.cost - running.charged) / turn.weight
        if running.cost:
            account.expected = _recent(account.expected, running.cost)
            self._expected = _recent(self._expected, running.cost)
        self._forget()

    # --- decisions --------------------------------------------------------------------------------

    def begin(self) -> list[Turn]:
        """Begin every turn that may begin now; which they are, in order."""
        begun: list[Turn] = []
        while (account := self._next()) is not None:
            turn = account.waiting.pop(0)
            self._last = max(self._last, account.served)
            charge = self._expectation(account)
            account.running[turn.id] = Running(charge, turn.weight)
            account.counter += charge / turn.weight
            begun.append(turn)
        return begun

    def order(self) -> list[Turn]:
        """All who wait, as they will come if nobody else does.

        Those whose users have as much running as they may come last.
        """
        waiting = [account for account in self._accounts.values() if account.waiting]
        free = [account for account in waiting if not self._is_full(account)]
        full = [account for account in waiting if self._is_full(account)]
        return [*self._merged(free), *self._merged(full)]

    def _next(self) -> Account | None:
        """Whose turn it is, if there is one to be had."""
        able = [a for a in self._accounts.values() if a.waiting and not self._is_full(a)]
        num_running = self.num_running
        if not able or num_running >= self.capacity + self.num_express:
            return None
        if num_running < self.capacity:
            return min(able, key=lambda account: account.key)
        smallest = min(account.key[0] for account in able)
        fresh = [a for a in able if not a.running and a.key[0] <= smallest]
        return min(fresh, key=lambda account: account.key, default=None)

    def _merged(self, accounts: Iterable[Account]) -> list[Turn]:
        heads = [(account.key, n, 0, account) for n, account in enumerate(accounts)]
        heapq.heapify(heads)
        found: list[Turn] = []
        while heads:
            (_, num_running, _), n, at, account = heads[0]
            turn = account.waiting[at]
            found.append(turn)
            if at + 1 == len(account.waiting):
                heapq.heappop(heads)
                continue
            charged = (at + 1) * self._expectation(account) / turn.weight
            place = key(account.waiting[at + 1], account.counter + charged, num_running + 1)
            heapq.heapreplace(heads, (place, n, at + 1, account))
        return found

    def _expectation(self, account: Account) -> float:
        return self._expected if account.expected is None else account.expected

    def _is_full(self, account: Account) -> bool:
        named = account.waiting[0].user
        return (
            bool(named)
            and self.max_running is not None
            and (len(account.running) >= self.max_running)
        )

    def _floor(self) -> float:
        """The counter to which a user is lifted who has nothing waiting."""
        served = [a.served for a in self._accounts.values() if a.waiting]
        return min(served, default=self._last)

    def _forget(self) -> None:
        """Forget who has nothing going on and is not ahead of others; all, if that is everybody."""
        idle = [u for u, a in self._accounts.items() if not (a.waiting or a.running)]
        if len(idle) == len(self._accounts):
            self._accounts.clear()
            self._last = 0.0
            return
        floor = self._floor()
        for user in idle:
            if self._accounts[user].counter <= floor:
                del self._accounts[user]


def is_crowded(waiting: dict[str, int], user: str, most: int) -> bool:
    """Whether a queue for `most` requests has no place for one more of this user.

    A user who has less than an equal share of it waiting always finds a place: one user's requests
    bar nobody else. With one user it is full when `most` wait.
    """
    users = len(waiting.keys() | {user})
    return sum(waiting.values()) >= most and waiting.get(user, 0) >= most // users


def _recent(before: float | None, newest: float) -> float:
    return newest if not before else before + RECENT * (newest - before)
