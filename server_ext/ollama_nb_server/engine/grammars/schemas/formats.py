"""How texts of a format are written, where parsers want more than the format's RFC says.

The other formats are llguidance's; what a pattern may hold is what its regexes can.
"""

from __future__ import annotations

from typing import Any

from ollama_nb_server.engine.grammars.schemas.keywords import Node

YEAR = "(?:000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})"  # Python's begin with 1
LEAP_YEAR = "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)"
DAY = (
    "(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    "|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    "|02-(?:0[1-9]|1[0-9]|2[0-8]))"
)
DATE = f"(?:{YEAR}-{DAY}|{LEAP_YEAR}-02-29)"
HOUR_AND_MINUTE = "(?:[01][0-9]|2[0-3]):[0-5][0-9]"
TIME = f"{HOUR_AND_MINUTE}:[0-5][0-9](?:\\.[0-9]{{3}}(?:[0-9]{{3}})?)?(?:Z|[+-]{HOUR_AND_MINUTE})"
COUNT = "[0-9]{1,4}"
CLOCK = f"T(?:{COUNT}H(?:{COUNT}M(?:{COUNT}S)?)?|{COUNT}M(?:{COUNT}S)?|{COUNT}S)"
CALENDAR = f"(?:{COUNT}Y(?:{COUNT}M(?:{COUNT}D)?)?|{COUNT}M(?:{COUNT}D)?|{COUNT}D)"
DURATION = f"P(?:{CALENDAR}(?:{CLOCK})?|{CLOCK}|{COUNT}W)"  # RFC 3339, appendix A
LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,28}[A-Za-z0-9])?"
HOSTNAME = f"(?:{LABEL}\\.){{0,7}}[A-Za-z](?:[A-Za-z0-9-]{{0,28}}[A-Za-z0-9])?"  # up to 248 letters
BYTE = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
ADDRESS = f"(?:{BYTE}\\.){{3}}{BYTE}"
PORT = "(?:[1-9][0-9]{0,3}|[1-5][0-9]{4})"
LETTER = "(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})"
PATH = f"(?:{LETTER}|/)*"
URI = (  # RFC 3986 with a short scheme, and hosts that have names or numbers
    "[A-Za-z][A-Za-z0-9+.-]{0,19}:"
    f"(?://(?:{HOSTNAME}|{ADDRESS})(?::{PORT})?(?:/{PATH})?|/?{LETTER}{PATH})"
    f"(?:\\?(?:{LETTER}|[/?])*)?(?:#(?:{LETTER}|[/?])*)?"
)
ATOM = "[A-Za-z0-9_+-]{1,20}"
EMAIL = f"{ATOM}(?:\\.{ATOM}){{0,2}}@(?:{LABEL}\\.){{1,4}}[A-Za-z]{{2,18}}"
HEX = "[0-9a-fA-F]"
UUIDS = {
    f"uuid{version}": (
        f"{HEX}{{8}}-{HEX}{{4}}-{version or HEX}{HEX}{{3}}"
        f"-{'[89abAB]' if version else HEX}{HEX}{{3}}-{HEX}{{12}}"
    )
    for version in ("", *"12345678")  # pydantic has a format for each
}

SPELLED = {
    **UUIDS,
    "date": DATE,
    "time": TIME,
    "date-time": f"{DATE}T{TIME}",
    "duration": DURATION,
    "hostname": HOSTNAME,
    "email": EMAIL,
    "uri": URI,
}
FORMATS = frozenset((*SPELLED, "ipv4", "ipv6"))
# What zod 4 writes beside `format` in regexes that look ahead, which no grammar can. What is
# written here fits them too.
IMPLIED = {
    "email": (
        r"^(?!\.)(?!.*\.\.)([A-Za-z0-9_'+\-\.]*)[A-Za-z0-9_+-]@"
        r"([A-Za-z0-9][A-Za-z0-9\-]*\.)+[A-Za-z]{2,}$",
    ),
    "hostname": (
        r"^(?=.{1,253}\.?$)[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
        r"(?:\.[a-zA-Z0-9](?:[-0-9a-zA-Z]{0,61}[0-9a-zA-Z])?)*\.?$",
    ),
    "duration": (
        r"^P(?:(\d+W)|(?!.*W)(?=\d|T\d)(\d+Y)?(\d+M)?(\d+D)?"
        r"(T(?=\d)(\d+H)?(\d+M)?(\d+([.,]\d+)?S)?)?)$",
    ),
}
LOOKS = ("(?=", "(?!", "(?<=", "(?<!")


def spell(made: dict[str, Any]) -> None:
    """Put a pattern in the place of a format, beside the one that may be there."""
    if made.get("format") not in SPELLED:
        return
    name = made.pop("format")
    pattern = made.pop("pattern", None)
    made["pattern"] = whole(SPELLED[name])
    if pattern is not None and pattern not in IMPLIED.get(name, ()):
        made["allOf"] = [*made.get("allOf", ()), {"pattern": pattern}]


def without_looks(parts: list[Node]) -> list[Node]:
    """Alternatives but those with a pattern that looks around, if there are others.

    Pydantic writes such a text beside the number that a Decimal can be.
    """
    left = [part for part in parts if not (isinstance(part, dict) and _looks_around(part))]
    return left or parts


def _looks_around(part: dict[str, Any]) -> bool:
    pattern = part.get("pattern")
    return isinstance(pattern, str) and any(look in pattern for look in LOOKS)


def whole(regex: str) -> str:
    """A pattern that the whole text fits."""
    return f"^(?:{regex})$"
