"""Times of a week at which something holds: models that are pinned, what may be used meanwhile.

Pure functions of the time, which they are given. A span is an instant to an instant, whatever the
clocks of a zone do between them. Of a time that comes twice in autumn the first begins and the
second ends; one that is left out in spring begins as if the clock had been put on before, and ends
as if it had not: there is a span in every case.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_serializer,
    model_validator,
)

from ollama_nb_server.sharing.patterns import Pattern, any_matches

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MIDNIGHT = 24 * 60
ENDLESS = timedelta(days=8)  # so far it is looked ahead
Zone = ZoneInfo | None  # None: the machine's


def _minute(said: Any) -> int:
    """Minutes since midnight of `09:55`, up to `24:00`."""
    if isinstance(said, time):
        said = said.strftime("%H:%M")
    hours, colon, minutes = str(said).partition(":")
    if colon and hours.isdecimal() and minutes.isdecimal() and len(minutes) == 2:
        found = 60 * int(hours) + int(minutes)
        if int(minutes) < 60 and found <= MIDNIGHT:
            return found
    raise ValueError(f'{said!r} is no time of day: write it as "09:55", up to "24:00"')


def _day(said: Any) -> int | date:
    """A day of the week, 0 is Monday, or one day as `2026-12-01`."""
    if isinstance(said, date) and not isinstance(said, datetime):
        return said
    word = str(said).lower()
    if word[:3] in DAYS and word in (word[:3], WHOLE[word[:3]]):
        return DAYS.index(word[:3])
    try:
        return date.fromisoformat(str(said))
    except ValueError:
        raise ValueError(
            f'{said!r} is no day: write "mon" to "sun", or a date as "2026-12-01"'
        ) from None


WHOLE = dict(
    zip(
        DAYS,
        ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"),
        strict=True,
    )
)


class Times(BaseModel):
    """Days, and the time from which to which; at or before its beginning it ends the next day."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    days: tuple[Annotated[Any, BeforeValidator(_day)], ...] = Field(
        default=tuple(range(7)), min_length=1
    )
    start: Annotated[int, BeforeValidator(_minute)] = Field(default=0, alias="from")
    until: Annotated[int, BeforeValidator(_minute)] = Field(default=MIDNIGHT)

    @field_serializer("days")
    def _written_days(self, days: tuple[int | date, ...]) -> list[str]:
        return [DAYS[day] if isinstance(day, int) else day.isoformat() for day in days]

    @field_serializer("start", "until")
    def _written_time(self, minute: int) -> str:
        return f"{minute // 60:02}:{minute % 60:02}"

    @model_validator(mode="after")
    def _lasts(self) -> Times:
        if self.start == self.until or self.start == MIDNIGHT:
            raise ValueError('it lasts no time: a whole day is from "00:00" until "24:00"')
        return self

    def begins_on(self, day: date) -> bool:
        """Whether it begins on that day."""
        return day.weekday() in self.days or day in self.days


class Pin(Times):
    """Models that are loaded at a time, and kept until another."""

    models: tuple[str, ...] = Field(min_length=1)


class Window(Times):
    """What may be used at a time, by members of groups (none named: by all who do not manage).

    Attributes
    ----------
    allow
        Patterns of the models that may be used; None: all.
    num_predict
        How many tokens an answer has at most.
    none
        Nothing may be used.
    """

    name: str = Field(min_length=1)
    groups: frozenset[str] = frozenset()
    allow: tuple[Pattern, ...] | None = None
    num_predict: int | None = Field(default=None, gt=0)
    none: bool = False

    @model_validator(mode="after")
    def _limits(self) -> Window:
        if self.none == (self.allow is not None or self.num_predict is not None):
            raise ValueError(
                f"window {self.name!r} says nothing, or both: give `allow` or `num_predict` (or "
                "these two), or `none = true`"
            )
        return self

    def refuses(self, model: str, *, is_own: bool = False) -> bool:
        """Whether a model of this short name may not be used meanwhile.

        One of a user's own, who has named it, is meant by patterns with a namespace only.
        """
        if self.none or self.allow is None:
            return self.none
        return not any_matches((p for p in self.allow if "/" in p or not is_own), model)


@dataclass(frozen=True, slots=True)
class Span:
    """From an instant to another, both in UTC; the end is outside."""

    start: datetime
    end: datetime

    def holds(self, now: datetime) -> bool:
        """Whether an instant is within."""
        return self.start <= now < self.end


@dataclass(frozen=True, slots=True)
class InForce:
    """A window that holds, and until when (UTC); None: for good."""

    window: Window
    end: datetime | None


def spans(times: Times, now: datetime, zone: Zone) -> list[Span]:
    """The spans around an instant, until a week ahead, in order; those that touch are one."""
    today = now.astimezone(zone).date()
    near = {today + timedelta(days=n) for n in range(-2, 10)}
    days = sorted(near | {day for day in times.days if isinstance(day, date)})
    found: list[Span] = []
    for span in (_span(times, day, zone) for day in days if times.begins_on(day)):
        if found and span.start <= found[-1].end:
            found[-1] = Span(found[-1].start, max(found[-1].end, span.end))
        else:
            found.append(span)
    return found


def span_at(times: Times, now: datetime, zone: Zone) -> Span | None:
    """The span that holds an instant."""
    return next((span for span in spans(times, now, zone) if span.holds(now)), None)


def next_change(all_times: Iterable[Times], now: datetime, zone: Zone) -> datetime | None:
    """When the next span of several begins or ends; None: not within a week."""
    return min((moment for moment in _moments(all_times, now, zone) if moment > now), default=None)


def in_force(
    windows: Iterable[Window], groups: frozenset[str], now: datetime, zone: Zone
) -> list[InForce]:
    """The windows that hold for members of these groups."""
    found = []
    for window in windows:
        span = span_at(window, now, zone)
        if span is not None and (not window.groups or window.groups & groups):
            found.append(InForce(window, span.end if span.end - now < ENDLESS else None))
    return found


def _moments(all_times: Iterable[Times], now: datetime, zone: Zone) -> Iterator[datetime]:
    for times in all_times:
        for span in spans(times, now, zone):
            yield from (span.start, span.end)


def _span(times: Times, day: date, zone: Zone) -> Span:
    last = day if times.until > times.start else day + timedelta(days=1)
    starts = [_instant(day, times.start, zone, fold) for fold in (0, 1)]
    ends = [_instant(last, times.until, zone, fold) for fold in (0, 1)]
    return Span(min(starts), max(ends))


def _instant(day: date, minute: int, zone: Zone, fold: int) -> datetime:
    days, rest = divmod(minute, MIDNIGHT)
    shown = datetime.combine(day + timedelta(days=days), time(rest // 60, rest % 60, fold=fold))
    local = shown.astimezone() if zone is None else shown.replace(tzinfo=zone)
    return local.astimezone(timezone.utc)
