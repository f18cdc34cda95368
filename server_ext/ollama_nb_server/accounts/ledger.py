"""Quotas as decisions: what one has spent within rolling windows, and when there is more.

No clock and no disk here: every call says what time it is, in seconds of the epoch.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone, tzinfo
from enum import Enum

from ollama_nb_server.scheduling.context import Caller
from ollama_nb_server.scheduling.errors import QuotaSpent
from ollama_nb_server.sharing.quota import Quota, in_words

NUM_SLICES = 240  # of a window: what was used at nearly the same time becomes free together
NS = 1_000_000_000


class Kind(Enum):
    """What a quota counts."""

    TOKENS = "tokens"
    COMPUTE_SECONDS = "compute_seconds"


@dataclass(frozen=True, slots=True)
class Limit:
    """How much may be used within a window: tokens, or nanoseconds."""

    kind: Kind
    window_s: float
    amount: int

    def __str__(self) -> str:
        if self.kind is Kind.TOKENS:
            return f"{self.amount:,} tokens in {in_words(self.window_s)}"
        return f"{self.amount / NS:,g} seconds of computing in {in_words(self.window_s)}"


@dataclass(frozen=True, slots=True)
class QuotaState:
    """A limit, what is used of it, and when there is more if nothing is left."""

    limit: Limit
    used: int
    free_at: float | None

    @property
    def is_spent(self) -> bool:
        """Whether nothing is left."""
        return self.used >= self.limit.amount


def limits_of(quotas: Iterable[Quota], caller: Caller) -> list[Limit]:
    """What holds for a caller: of equal windows the quota that names them, else their group's.

    Of several groups the most generous counts. What is for everybody is not for who manages.
    """
    best = _best(quotas, caller)
    order = sorted(best, key=lambda key: (key[1], key[0].value != "tokens"))  # short windows first
    return [Limit(kind, window, best[kind, window][1]) for kind, window in order]


def limits_by(quota: Quota, quotas: Iterable[Quota], caller: Caller) -> list[Limit]:
    """Those of a caller's limits that are due to this one of several quotas."""
    rank, best = _rank(quota, caller), _best(quotas, caller)
    return [
        Limit(kind, quota.window, amount)
        for kind, amount in _amounts(quota)
        if rank is not None and best[kind, quota.window] == (rank, amount)
    ]


def _best(quotas: Iterable[Quota], caller: Caller) -> dict[tuple[Kind, float], tuple[int, int]]:
    """By what is counted and for how long: how close the closest is to a caller, and its amount."""
    best: dict[tuple[Kind, float], tuple[int, int]] = {}
    for quota in quotas:
        rank = _rank(quota, caller)
        if rank is None:
            continue
        for kind, amount in _amounts(quota):
            key = kind, quota.window
            best[key] = max(best.get(key, (-1, 0)), (rank, amount))
    return best


def _rank(quota: Quota, caller: Caller) -> int | None:
    """How closely a quota is meant for a caller; None: it is not."""
    if caller.name in quota.users:
        return 2
    if quota.groups & caller.groups:
        return 1
    is_for_all = not quota.users and not quota.groups
    return 0 if is_for_all and not caller.manages else None


def _amounts(quota: Quota) -> Iterable[tuple[Kind, int]]:
    if quota.tokens is not None:
        yield Kind.TOKENS, quota.tokens
    if quota.compute_seconds is not None:
        yield Kind.COMPUTE_SECONDS, round(quota.compute_seconds * NS)


class RollingSum:
    """The sum of what was added within the last `window_s`, in slices of a bounded number."""

    def __init__(self, window_s: float) -> None:
        self._window_s, self._slice_s = window_s, window_s / NUM_SLICES
        self._slices: deque[tuple[float, float, int]] = deque()  # first and last moment, amount
        self._sum = 0

    def add(self, at: float, amount: int) -> None:
        """Add an amount that was used at a time, not before earlier ones."""
        self._forget(at)
        self._sum += amount
        if self._slices:
            first, last, there = self._slices[-1]
            if at - first <= self._slice_s:
                self._slices[-1] = first, max(at, last), there + amount
                return
        self._slices.append((at, at, amount))

    def at(self, now: float) -> int:
        """The sum."""
        self._forget(now)
        return self._sum

    def below(self, limit: int) -> float:
        """When the sum will be below a limit that it has reached, if nothing is added."""
        left, until = self._sum, 0.0
        for _, last, amount in self._slices:
            if left < limit:
                break
            left -= amount
            until = last + self._window_s
        return until

    def _forget(self, now: float) -> None:
        while self._slices and self._slices[0][1] + self._window_s <= now:
            self._sum -= self._slices.popleft()[2]


class QuotaLedger:
    """What users have spent, as far as any quota asks."""

    def __init__(self, quotas: Sequence[Quota], zone: tzinfo | None = None) -> None:
        self._quotas, self._zone = quotas, zone  # without one, times are told in the machine's
        self._counted = {(kind, q.window) for q in quotas for kind, _ in _amounts(q)}
        self._sums: dict[tuple[str, Kind, float], RollingSum] = {}

    @property
    def quotas(self) -> Sequence[Quota]:
        """Those that hold."""
        return self._quotas

    @property
    def users(self) -> set[str]:
        """Whom something is counted of, be it nothing by now."""
        return {user for user, _, _ in self._sums}

    @property
    def window_s(self) -> float:
        """The longest window."""
        return max((window for _, window in self._counted), default=0.0)

    def knows(self, other: QuotaLedger) -> bool:
        """Whether it counts all that another one would."""
        return self._counted >= other._counted

    def take_over(self, before: QuotaLedger) -> None:
        """Go on with the sums of a ledger in whose place it comes, as far as both have them."""
        for (user, kind, window), rolling in before._sums.items():
            if (kind, window) in self._counted:
                self._sums[user, kind, window] = rolling

    def add(self, user: str, at: float, num_tokens: int, compute_ns: int) -> None:
        """Note what a request has cost that ended at a time."""
        amounts = {Kind.TOKENS: num_tokens, Kind.COMPUTE_SECONDS: compute_ns}
        for kind, window in self._counted:
            if amounts[kind]:
                self._sum(user, kind, window).add(at, amounts[kind])

    def states(self, caller: Caller, now: float) -> list[QuotaState]:
        """How a caller's quotas stand."""
        return [self._state(caller.name, limit, now) for limit in limits_of(self._quotas, caller)]

    def check(self, caller: Caller, now: float) -> None:
        """Let a request begin while anything is left: what it will cost, nobody knows.

        Raises
        ------
        QuotaSpent
            By the quota that stays spent for longest, with when there is more.
        """
        if not self._counted:
            return
        spent = [state for state in self.states(caller, now) if state.is_spent]
        if spent:
            last = max(spent, key=lambda state: state.free_at or 0.0)
            retry_at = datetime.fromtimestamp(last.free_at or now, timezone.utc)
            raise QuotaSpent(caller.name, str(last.limit), retry_at.astimezone(self._zone))

    def _state(self, user: str, limit: Limit, now: float) -> QuotaState:
        rolling = self._sum(user, limit.kind, limit.window_s)
        used = rolling.at(now)
        return QuotaState(
            limit, used, rolling.below(limit.amount) if used >= limit.amount else None
        )

    def _sum(self, user: str, kind: Kind, window_s: float) -> RollingSum:
        key = user, kind, window_s
        if key not in self._sums:
            self._sums[key] = RollingSum(window_s)
        return self._sums[key]
