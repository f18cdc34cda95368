"""What was used, today and day by day, as the page tells and draws it."""

from __future__ import annotations

import sqlite3
from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone

from ollama_nb_server.accounts import Accounts, DayTotal, UsageQuery, by_day, report
from ollama_nb_server.pages.plot import Plot, stacked
from ollama_nb_server.pages.words import Zone
from ollama_nb_server.wire.errors import RequestError

DAYS = (7, 30, 90)
BY = ("model", "user")
MOST_SERIES = 6  # have a colour of their own, the largest; the rest is one more
OTHERS = "all others"


class BadChoice(RequestError):
    """An argument of the page's address that cannot be meant so."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Of how many days, and by what."""

    days: int = 30
    by: str = "model"

    @classmethod
    def of(cls, days: str, by: str) -> Choice:
        """Read what an address says; nothing is the usual.

        Raises
        ------
        BadChoice
            If it is neither.
        """
        if days and days not in map(str, DAYS):
            raise BadChoice(f"days: {days[:40]!r} is none of {', '.join(map(str, DAYS))}")
        if by and by not in BY:
            raise BadChoice(f"by: {by[:40]!r} is none of {', '.join(BY)}")
        return cls(int(days or cls().days), by or cls().by)


@dataclass(frozen=True, slots=True)
class Used:
    """What a user has had of a model today: requests, tokens, seconds of computing."""

    user: str
    model: str
    requests: int
    prompt_tokens: int
    answer_tokens: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Today:
    """Today's sums; `trouble` says why there are none."""

    rows: tuple[Used, ...] = ()
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class History:
    """What was used day by day, drawn and as a table; `trouble` says why there is nothing."""

    choice: Choice
    plots: tuple[Plot, ...] = ()
    rows: tuple[DayTotal, ...] = ()
    trouble: str = ""


UNREADABLE = "The accounts cannot be read: the server's log says why."


def today(accounts: Accounts | None, user: str | None, zone: Zone, now: float) -> Today:
    """Sums since midnight by user and model, of one user or of all (None)."""
    if accounts is None:
        return Today()
    began = _midnight(_date(now, zone), zone)
    query = UsageQuery(user, since=began, by=("user", "model"))
    try:
        rows = report(accounts.path, query).documents()
    except sqlite3.Error:
        return Today(trouble=UNREADABLE)
    return Today(
        tuple(
            Used(
                user=row["user"],
                model=row["model"],
                requests=row["requests"],
                prompt_tokens=row["prompt_tokens"] or 0,
                answer_tokens=row["answer_tokens"] or 0,
                seconds=round((row["prompt_s"] or 0) + (row["eval_s"] or 0)),
            )
            for row in rows
            if row["prompt_tokens"] or row["prompt_s"] or row["eval_s"]  # all refusals are not use
        )
    )


def history(
    accounts: Accounts, user: str | None, choice: Choice, zone: Zone, now: float
) -> History:
    """Plots of the latest days, of one user or of all (None)."""
    last = _date(now, zone)
    dates = [last - timedelta(days=back) for back in range(choice.days - 1, -1, -1)]
    days = [
        (day.isoformat(), _midnight(day, zone), _midnight(day + timedelta(days=1), zone))
        for day in dates
    ]
    try:
        rows = by_day(accounts.path, days, choice.by, user)
    except sqlite3.Error:
        return History(choice, trouble=UNREADABLE)
    if not rows:
        return History(choice, trouble=f"Nothing was used in the last {choice.days} days.")
    series = _series(rows)
    labels = [day.isoformat() for day in dates]
    amounts: dict[str, dict[tuple[str, str], float]] = {
        "tokens": {(row.day, row.name): row.prompt_tokens + row.answer_tokens for row in rows},
        "seconds of computing": {(row.day, row.name): row.seconds for row in rows},
    }
    plots = tuple(
        stacked(unit, labels, series, _gathered(values, series)) for unit, values in amounts.items()
    )
    return History(choice, plots, tuple(reversed(rows)))


def _series(rows: list[DayTotal]) -> list[str]:
    """The names that have a colour of their own, those with most tokens first."""
    totals = Counter[str]()
    for row in rows:
        totals[row.name] += row.prompt_tokens + row.answer_tokens
    names = sorted(totals, key=lambda name: (-totals[name], name))
    if len(names) <= MOST_SERIES + 1:
        return names
    return [*names[:MOST_SERIES], OTHERS]


def _gathered(
    values: dict[tuple[str, str], float], series: list[str]
) -> dict[tuple[str, str], float]:
    """The values by day and series: those without a colour go to the last one."""
    found: dict[tuple[str, str], float] = {}
    for (day, name), value in values.items():
        key = day, name if name in series else series[-1]
        found[key] = found.get(key, 0.0) + value
    return found


def _date(now: float, zone: Zone) -> date:
    return datetime.fromtimestamp(now, timezone.utc).astimezone(zone).date()


def _midnight(day: date, zone: Zone) -> float:
    """When a day begins, in seconds since the epoch."""
    local = datetime.combine(day, time())
    return (local.astimezone() if zone is None else local.replace(tzinfo=zone)).timestamp()
