"""Quotas as the page lists them: those that hold, and how each user's stand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ollama_nb_server.accounts import Accounts, QuotaState
from ollama_nb_server.accounts.ledger import NS, Kind, limits_by
from ollama_nb_server.pages.forms import key_of
from ollama_nb_server.pages.words import Zone, clock
from ollama_nb_server.scheduling.context import Caller
from ollama_nb_server.sharing import Quota
from ollama_nb_server.sharing.quota import written


@dataclass(frozen=True, slots=True)
class Meter:
    """How a quota of one user stands; `free_at` is when there is more, if nothing is left."""

    limit: str
    used: str
    percent: int
    free_at: str

    @property
    def is_spent(self) -> bool:
        """Whether nothing is left."""
        return bool(self.free_at)


@dataclass(frozen=True, slots=True)
class QuotaRow:
    """A quota as its form has it, and how many are under it."""

    key: str
    users: str
    groups: str
    whom: str
    tokens: str
    compute_seconds: str
    window: str
    under: str


@dataclass(frozen=True, slots=True)
class Standing:
    """A user, and how the quotas stand that count; `groups` None: it is not known which."""

    user: str
    groups: str | None
    manages: bool
    meters: tuple[Meter, ...]


def meters(states: Iterable[QuotaState], zone: Zone, now: float) -> tuple[Meter, ...]:
    """One for each quota of a user."""
    return tuple(
        Meter(
            limit=str(state.limit),
            used=_amount(state.limit.kind, state.used),
            percent=_percent(state),
            free_at="" if state.free_at is None else clock(state.free_at, zone, now),
        )
        for state in states
    )


def quota_rows(
    quotas: Sequence[Quota], people: Sequence[Caller], accounts: Accounts
) -> tuple[QuotaRow, ...]:
    """A row for each quota."""
    return tuple(
        QuotaRow(
            key=key_of(quota),
            users=", ".join(sorted(quota.users)),
            groups=", ".join(sorted(quota.groups)),
            whom=quota.whom,
            tokens="" if quota.tokens is None else f"{quota.tokens:,}",
            compute_seconds=_plain(quota.compute_seconds),
            window=written(quota.window),
            under=_under(quota, quotas, people, accounts),
        )
        for quota in quotas
    )


def standings(
    callers: Mapping[str, Caller | None], accounts: Accounts, zone: Zone, now: float
) -> tuple[Standing, ...]:
    """Users by name, with the quotas that count for each; those without any are left out."""
    found = []
    for name, caller in sorted(callers.items()):
        if caller is None:
            found.append(Standing(name, None, False, ()))
        elif states := accounts.quotas(caller):
            groups = ", ".join(sorted(caller.groups))
            found.append(Standing(name, groups, caller.manages, meters(states, zone, now)))
    return tuple(found)


def _under(
    quota: Quota, quotas: Sequence[Quota], people: Sequence[Caller], accounts: Accounts
) -> str:
    """How many users a quota counts for, and who has used most of it."""
    shares: dict[str, int] = {}
    for person in people:
        limits = limits_by(quota, quotas, person)
        used = [_percent(state) for state in accounts.quotas(person) if state.limit in limits]
        if used:
            shares[person.name] = max(used)
    if not shares:
        return "nobody yet"
    most = max(shares, key=lambda name: shares[name])
    count = f"{len(shares)} {'user' if len(shares) == 1 else 'users'}"
    return f"{count}, at most {shares[most]}\N{NO-BREAK SPACE}% used ({most})"


def _percent(state: QuotaState) -> int:
    return min(100 * state.used // state.limit.amount, 100)


def _amount(kind: Kind, amount: int) -> str:
    if kind is Kind.TOKENS:
        return f"{amount:,}"
    return f"{amount / NS:,.1f}"


def _plain(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.15g}"
