"""Times of this machine: the zone that frames and tables tell moments in."""

from __future__ import annotations

import os
from datetime import datetime, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

LINK = Path("/etc/localtime")


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
