"""Rows and totals out of the file; readers wait for nobody, and nobody for them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

BUSY_S = 10.0
# What can be summed up by, and how it is read off a row.
GROUPS = {
    "user": "user",
    "model": "model",
    "verb": "verb",
    "status": "status",
    "code": "code",
    "day": "date(asked_at, 'unixepoch')",
}
COUNTS = {"prompt_tokens": "prompt_count", "cached_tokens": "cached_count"}
COUNTS |= {"answer_tokens": "eval_count"}
TIMES = {"queue_s": "queue_ns", "load_s": "load_ns", "prompt_s": "prompt_ns", "eval_s": "eval_ns"}
ROW = {
    "id": "server || '-' || CASE WHEN number < 0 THEN 'r' || -number ELSE number END",
    "user": "user",
    "verb": "verb",
    "model": "model",
    "digest": "digest",
    "status": "status",
    "code": "code",
    "times": "times",
    "started_at": "asked_at",
    "ended_at": "ended_at",
    **COUNTS,
    **{name: f"{column} / 1e9" for name, column in TIMES.items()},
    "first_token_s": "first_token_ns / 1e9",
}
SUMS = {
    "requests": "sum(times)",
    **{name: f"sum({column})" for name, column in COUNTS.items()},
    **{name: f"sum({column}) / 1e9" for name, column in TIMES.items()},
}
MOMENTS = ("started_at", "ended_at")  # one behind the other


@dataclass(frozen=True, slots=True)
class UsageQuery:
    """Which rows, of whom (None: of everybody), and by what they are summed up (None: not).

    `since` and `until` are seconds of the epoch, of when a request was asked. Of rows the latest
    `limit` count.
    """

    user: str | None
    since: float | None = None
    until: float | None = None
    by: tuple[str, ...] | None = None
    limit: int = 1000


@dataclass(frozen=True, slots=True)
class DayTotal:
    """What was used on a day of a model, or by a user: `name`."""

    day: str
    name: str
    requests: int
    prompt_tokens: int
    answer_tokens: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Report:
    """A table; `is_cut`, if there is more of it than was asked for."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    is_cut: bool = False

    def documents(self) -> list[dict[str, Any]]:
        """Its rows by name."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


def report(path: Path, query: UsageQuery) -> Report:
    """What the file says.

    Raises
    ------
    sqlite3.Error
        If it cannot be read.
    """
    with _opened(path) as connection:
        if query.by is None:
            return _rows(connection, query)
        return _totals(connection, query, query.by)


def by_day(
    path: Path, days: Sequence[tuple[str, float, float]], by: str, user: str | None
) -> list[DayTotal]:
    """Sums of days, each a name and the moments at which it begins and ends, by `model` or `user`.

    Where nothing was computed (all was refused, or is under way) there is no sum.

    Raises
    ------
    sqlite3.Error
        If the file cannot be read.
    """
    mine = "" if user is None else "AND user = ?"
    values = [value for day in days for value in day]
    query = (
        f"WITH days(day, since, until) AS (VALUES {', '.join(['(?, ?, ?)'] * len(days))}) "
        f"SELECT day, {GROUPS[by]}, {SUMS['requests']}, sum(prompt_count), sum(eval_count), "
        "sum(prompt_ns + eval_ns) / 1e9 FROM days CROSS JOIN requests "
        f"WHERE asked_at >= since AND asked_at < until {mine} GROUP BY 1, 2 "
        "HAVING sum(prompt_count + prompt_ns + eval_ns) > 0 ORDER BY 1, 2"
    )
    with _opened(path) as connection:
        found = connection.execute(query, [*values, *([] if user is None else [user])])
        return [DayTotal(*row) for row in found]


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    address = f"{path.absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(address, uri=True, timeout=BUSY_S)) as connection:
        yield connection


def _rows(connection: sqlite3.Connection, query: UsageQuery) -> Report:
    where, values = _where(query)
    order = "ORDER BY asked_at DESC, server DESC, number DESC LIMIT ?"
    found = connection.execute(
        f"SELECT {_selected(ROW)} FROM requests {where} {order}", (*values, query.limit + 1)
    ).fetchall()
    kept = found[: query.limit][::-1]
    return Report(tuple(ROW), _with_moments(kept), len(found) > query.limit)


def _totals(connection: sqlite3.Connection, query: UsageQuery, by: Sequence[str]) -> Report:
    where, values = _where(query)
    columns = {name: GROUPS[name] for name in by} | SUMS
    places = ", ".join(str(place) for place in range(1, len(by) + 1))
    groups = f"GROUP BY {places} ORDER BY {places}" if by else "HAVING count(*) > 0"
    found = connection.execute(
        f"SELECT {_selected(columns)} FROM requests {where} {groups}", values
    )
    return Report(tuple(columns), found.fetchall())


def _selected(columns: dict[str, str]) -> str:
    return ", ".join(f"{column} AS {name}" for name, column in columns.items())


def _where(query: UsageQuery) -> tuple[str, tuple[object, ...]]:
    """The conditions; only values come from who asks, and they are bound."""
    found = {
        "user = ?": query.user,
        "asked_at >= ?": query.since,
        "asked_at < ?": query.until,
    }
    said = {condition: value for condition, value in found.items() if value is not None}
    return (f"WHERE {' AND '.join(said)}" if said else ""), tuple(said.values())


def _with_moments(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    first, behind = list(ROW).index(MOMENTS[0]), list(ROW).index(MOMENTS[-1]) + 1
    return [(*row[:first], *map(_moment, row[first:behind]), *row[behind:]) for row in rows]


def _moment(seconds: float | None) -> str | None:
    """A time in RFC 3339, in UTC."""
    if seconds is None:
        return None
    moment = datetime.fromtimestamp(seconds, timezone.utc)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
