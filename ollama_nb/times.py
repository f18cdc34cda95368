"""Times of this machine: the zone that frames and tables tell moments in."""

from __future__ import annotations

import os
import re
from datetime import datetime, timezone, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

LINK = Path("/etc/localtime")
UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))
_FRACTION = re.compile(r"\.(\d+)")


def local_zone() -> tzinfo:
    """Return this machine's time zone, by its name wherever that is known.

    A zone with a name knows when clocks are set forward, and can be written to Parquet and the
    like; otherwise the zone is today's distance from UTC.
    """
    name = os.environ["TZ"].lstrip(":") if "TZ" in os.environ else _linked()
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # no name, a folder's name, a zone that is not known
        zone = datetime.now().astimezone().tzinfo
        assert zone is not None
        return zone


def _linked() -> str:
    """Return the zone that the system's link names, as in /usr/share/zoneinfo/Europe/Oslo."""
    _, found, name = str(LINK.resolve()).partition("/zoneinfo/")
    return name if found else ""


def in_units(length_s: float) -> str:
    """Return a length of time in the largest unit that divides it.

    >>> in_units(600), in_units(3600), in_units(604800), in_units(90)
    ('10 min', '1 h', '7 d', '90 s')
    """
    for unit_s, unit in UNITS:
        if length_s >= unit_s and length_s % unit_s == 0:
            return f"{length_s / unit_s:g} {unit}"
    return f"{length_s:g} s"


def in_local_time(moment: str | None) -> datetime | None:
    """Return a moment as a server writes it (RFC 3339), in this machine's zone; None if it is none.

    Servers written in Go tell nanoseconds and leave out zeros at their end; a datetime holds
    microseconds, all six digits.

    >>> in_local_time("2026-01-02T03:04:05.1Z") == in_local_time("2026-01-02T04:04:05.10+01:00")
    True
    """
    exact = _FRACTION.sub(lambda found: f".{found[1]:0<6.6}", (moment or "").replace("Z", "+00:00"))
    try:
        told = datetime.fromisoformat(exact)
        zoned = told if told.tzinfo else told.replace(tzinfo=timezone.utc)
        return zoned.astimezone(local_zone())
    except (ValueError, OverflowError):  # no moment, or one at the end of all times
        return None
