"""How moments, times of a week and progress are told on the page."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from ollama_nb_server.sharing.windows import DAYS, MIDNIGHT, Times, next_change, span_at
from ollama_nb_server.wire.extras import Extras

Zone = ZoneInfo | None  # None: the machine's
NAMES = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
FAR = timedelta(days=7)  # what holds for longer holds for good, as far as anybody looks


def progress_in_words(extras: Extras) -> str:
    """How far a request is, as cells tell it."""
    if extras.phase == "decode":
        return "is answered"
    eta = "" if not extras.eta_s else f", about {extras.eta_s:.0f} s"
    if extras.phase == "prefill":
        read = f", {100 * (extras.done or 0) // extras.total} %" if extras.total else ""
        return f"is read{read}{eta}"
    if extras.phase == "loading":
        part = "" if extras.fraction is None else f", {100 * extras.fraction:.0f} %"
        return f"its model is loaded{part}"
    if extras.place is None:
        return "begins"
    return f"number {extras.place} in the queue{eta}"


def clock(seconds: float, zone: Zone, now: float) -> str:
    """A moment, in seconds since the epoch, as a clock on the wall shows it."""
    moment = datetime.fromtimestamp(seconds, timezone.utc).astimezone(zone)
    is_near = abs(seconds - now) < 86_400
    return moment.strftime("%H:%M:%S" if is_near else "%Y-%m-%d %H:%M")


def moment_in_words(moment: datetime, zone: Zone, now: datetime) -> str:
    """A moment by day and minute; today's by the minute alone."""
    shown, today = moment.astimezone(zone), now.astimezone(zone).date()
    day = "" if shown.date() == today else f"{NAMES[shown.weekday()]} {shown:%Y-%m-%d} "
    return f"{day}{shown:%H:%M}"


def days_in_words(times: Times) -> str:
    """The days on which something holds."""
    if set(times.days) >= set(range(len(DAYS))):
        return "every day"
    return ", ".join(_day(day) for day in times.days)


def hours_in_words(times: Times) -> str:
    """From when to when it holds."""
    if (times.start, times.until) == (0, MIDNIGHT):
        return "the whole day"
    return f"{_minute(times.start)} to {_minute(times.until)}"


def is_for_good(times: Times) -> bool:
    """Whether it holds at all times."""
    return days_in_words(times) == "every day" and (times.start, times.until) == (0, MIDNIGHT)


def holds_in_words(times: Times, now: datetime, zone: Zone) -> str:
    """Whether something holds now, and until or from when."""
    if is_for_good(times):
        return "holds"
    span = span_at(times, now, zone)
    if span is not None:
        ends = span.end - now < FAR
        return f"holds until {moment_in_words(span.end, zone, now)}" if ends else "holds"
    begins = next_change([times], now, zone)
    return "is over" if begins is None else f"begins {moment_in_words(begins, zone, now)}"


def _day(day: int | date) -> str:
    return NAMES[day] if isinstance(day, int) else day.isoformat()


def _minute(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"
