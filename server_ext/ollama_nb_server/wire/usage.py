"""What /api/usage is asked: of whom, from when to when, summed up by what, in which form."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

from ollama_nb_server.accounts import GROUPS, Report, UsageQuery
from ollama_nb_server.sharing.quota import window_of
from ollama_nb_server.wire.errors import BadUsageQuery

EVERYBODY = "*"
FORMATS = ("json", "csv")
CSV = "text/csv"
DEFAULT_LIMIT, MAX_LIMIT = 1000, 100_000
KNOWN = ("user", "since", "until", "by", "limit", "format")


@dataclass(frozen=True, slots=True)
class UsageRequest:
    """A request; `user` None is who asks, `EVERYBODY` all of them."""

    user: str | None
    since: float | None
    until: float | None
    by: tuple[str, ...] | None
    limit: int
    as_csv: bool

    @classmethod
    def of(cls, said: Mapping[str, Sequence[str]], accept: str, now: float) -> UsageRequest:
        """Read the arguments of the address, each of which may stand there once.

        Raises
        ------
        BadUsageQuery
            With what is wrong, and what there is.
        """
        for name, values in said.items():
            if name not in KNOWN:
                raise BadUsageQuery(f"{name}: there is no such argument; there are {_list(KNOWN)}")
            if len(values) > 1:
                raise BadUsageQuery(f"{name}: say it once")
        one = {name: values[0] for name, values in said.items()}
        form = one.get("format")
        if form not in (None, *FORMATS):
            raise BadUsageQuery(f"format: {form!r} is none of {_list(FORMATS)}")
        return cls(
            one.get("user"),
            _moment("since", one.get("since"), now),
            _moment("until", one.get("until"), now),
            _groups(one.get("by")),
            _limit(one.get("limit")),
            form == "csv" if form else CSV in accept,
        )

    @property
    def is_long(self) -> bool:
        """Whether it may take a second to make and many megabytes to keep."""
        return self.by is None and self.limit > DEFAULT_LIMIT

    def query(self, name: str) -> UsageQuery:
        """What it means when somebody of this name asks."""
        asked = name if self.user is None else self.user
        whose = None if asked == EVERYBODY else asked
        return UsageQuery(whose, self.since, self.until, self.by, self.limit)


def _list(words: Sequence[str]) -> str:
    return ", ".join(words)


def _groups(text: str | None) -> tuple[str, ...] | None:
    """What to sum up by: names with commas between them; `all` is one sum of everything."""
    if text is None:
        return None
    if text == "all":
        return ()
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        if name not in GROUPS:
            raise BadUsageQuery(f"by: {name!r} is none of {_list(['all', *GROUPS])}")
    return names


def _limit(text: str | None) -> int:
    if text is None:
        return DEFAULT_LIMIT
    if not (text.isascii() and text.isdigit() and 0 < int(text[:9]) <= MAX_LIMIT):
        raise BadUsageQuery(f"limit: {text!r} is no number from 1 to {MAX_LIMIT:,}")
    return int(text)


def _moment(name: str, text: str | None, now: float) -> float | None:
    """A time: RFC 3339, a day, or how long ago; without a zone it is UTC."""
    if text is None:
        return None
    try:
        return now - float(window_of(text))
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError as error:
        raise BadUsageQuery(
            f"{name}: {text!r} is no time: 2026-11-29, 2026-11-29T10:00:00Z, or 7d for so long ago"
        ) from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()


def as_csv(report: Report) -> bytes:
    """A table as CSV, its names in the first row; nothing is an empty field."""
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(report.columns)
    writer.writerows(report.rows)
    return file.getvalue().encode("utf-8", "replace")
