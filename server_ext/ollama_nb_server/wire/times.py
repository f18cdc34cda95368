"""Times as Go prints them: RFC 3339, up to nine digits of a second, no trailing zeros."""

from __future__ import annotations

from datetime import datetime, timezone
from functools import lru_cache

FOREVER = "2319-01-01T00:00:00Z"  # what does not expire: a far date that every client can read
FOREVER_S = 11_013_321_600.0  # the same in seconds since the epoch; later times are this one


def utc(ns: int) -> str:
    """Nanoseconds since the epoch in UTC, as `created_at` has it."""
    seconds, rest = divmod(ns, 1_000_000_000)
    return f"{_second(seconds)}{_fraction(rest)}Z"


@lru_cache(maxsize=8)  # the tokens of a second share it
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")


def local(seconds: float) -> str:
    """Seconds since the epoch in this machine's zone, as `modified_at` has it; `inf` is far."""
    if not seconds < FOREVER_S:
        return FOREVER
    ns = round(seconds * 1e9)
    whole, rest = divmod(ns, 1_000_000_000)
    moment = datetime.fromtimestamp(whole).astimezone()
    zone = moment.strftime("%z")
    offset = "Z" if zone in ("+0000", "") else f"{zone[:3]}:{zone[3:5]}"
    return f"{moment.strftime('%Y-%m-%dT%H:%M:%S')}{_fraction(rest)}{offset}"


def _fraction(ns: int) -> str:
    digits = f"{ns:09d}".rstrip("0")
    return f".{digits}" if digits else ""
