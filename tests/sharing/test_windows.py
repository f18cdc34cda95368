"""Times of a week, simulated over weeks: midnight, summer time, one day, and what is no time."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from ollama_nb_server.sharing import BadSharing, Sharing
from ollama_nb_server.sharing.windows import (
    Pin,
    Times,
    Window,
    in_force,
    next_change,
    span_at,
    spans,
)

BERLIN = ZoneInfo("Europe/Berlin")
UTC = timezone.utc


def times(days: list[str], start: str, until: str) -> Times:
    return Times.model_validate({"days": days, "from": start, "until": until})


def simulated(said: Times, begin: datetime, days: int, zone=BERLIN) -> list[tuple[str, str]]:
    """What a task sees that sleeps until each next change: its spans, as the wall's clock shows."""
    now, found, began = begin, [], None
    end = begin + timedelta(days=days)
    while (change := next_change([said], now, zone)) is not None and change < end:
        now = change
        if (span := span_at(said, now, zone)) is not None:
            began = span.start
        else:
            shown = [m.astimezone(zone).strftime("%a %d %H:%M") for m in (began, now)]
            found.append((shown[0], shown[1]))
    return found


def test_two_days_a_week_over_three_weeks() -> None:
    seen = simulated(times(["mon", "wed"], "09:55", "11:30"), datetime(2026, 3, 1, tzinfo=UTC), 21)

    assert seen == [
        (f"{day} 09:55", f"{day} 11:30")
        for day in ("Mon 02", "Wed 04", "Mon 09", "Wed 11", "Mon 16", "Wed 18")
    ]


def test_a_night_ends_the_next_day() -> None:
    seen = simulated(times(["fri"], "22:00", "02:00"), datetime(2026, 1, 1, tzinfo=UTC), 14)

    assert seen == [("Fri 02 22:00", "Sat 03 02:00"), ("Fri 09 22:00", "Sat 10 02:00")]


@pytest.mark.parametrize(
    ("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-06-01", 24)]
)
def test_a_whole_day_is_as_long_as_it_is(day: str, hours: int) -> None:
    noon = datetime.fromisoformat(f"{day}T12:00").replace(tzinfo=BERLIN).astimezone(UTC)
    span = span_at(times([day], "00:00", "24:00"), noon, BERLIN)

    assert (span.end - span.start) == timedelta(hours=hours)


def test_the_wall_clock_counts_across_summer_time() -> None:
    seen = simulated(
        times(["sat", "sun", "mon"], "09:55", "10:00"), datetime(2026, 3, 28, tzinfo=UTC), 4
    )

    assert [start for start, _ in seen] == ["Sat 28 09:55", "Sun 29 09:55", "Mon 30 09:55"]


@pytest.mark.parametrize("day", ["2026-03-29", "2026-10-25"])
@pytest.mark.parametrize(
    ("start", "until"), [("02:15", "02:45"), ("01:30", "02:30"), ("02:30", "03:30")]
)
def test_an_hour_that_is_left_out_or_comes_twice_has_a_span_all_the_same(day, start, until) -> None:
    (span,) = (
        span for span in spans(times([day], start, until), datetime(2026, 7, 1, tzinfo=UTC), BERLIN)
    )

    assert timedelta(0) < span.end - span.start <= timedelta(hours=2)


def test_what_touches_is_one_span_and_no_change() -> None:
    always = times(["mon", "tue", "wed", "thu", "fri", "sat", "sun"], "00:00", "24:00")
    now = datetime(2026, 3, 27, 12, tzinfo=UTC)

    assert len(spans(always, now, BERLIN)) == 1
    (held,) = in_force([Window(name="cap", num_predict=9)], frozenset(), now, BERLIN)
    assert held.end is None
    evening = times(["mon"], "20:00", "24:00")
    assert span_at(evening, datetime(2026, 3, 2, 22, 59, tzinfo=UTC), BERLIN)
    assert not span_at(evening, datetime(2026, 3, 2, 23, tzinfo=UTC), BERLIN)


def test_one_day_by_its_date_is_that_day_alone() -> None:
    exam = times(["2026-12-01"], "10:00", "12:00")

    assert simulated(exam, datetime(2026, 11, 1, tzinfo=UTC), 60) == [
        ("Tue 01 10:00", "Tue 01 12:00")
    ]
    assert next_change([exam], datetime(2026, 12, 2, tzinfo=UTC), BERLIN) is None


@pytest.mark.parametrize(
    "zone", [None, BERLIN, ZoneInfo("Asia/Kathmandu"), ZoneInfo("Pacific/Apia")]
)
@pytest.mark.parametrize(
    ("start", "until"), [("09:55", "11:30"), ("22:00", "06:00"), ("00:00", "24:00")]
)
def test_a_task_that_sleeps_sees_what_one_that_looks_every_minute_sees(zone, start, until) -> None:
    said, begin = times(["tue", "sat", "sun"], start, until), datetime(2026, 3, 26, tzinfo=UTC)
    changes, now = [], begin
    while (change := next_change([said], now, zone)) and change < begin + timedelta(days=8):
        changes.append(change)
        now = change
    minutes = [begin + timedelta(minutes=5 * n) for n in range(8 * 24 * 12)]
    held = [span_at(said, minute, zone) is not None for minute in minutes]

    looked = [
        m for m, before, after in zip(minutes[1:], held, held[1:], strict=False) if before != after
    ]
    assert looked == [change for change in changes if change > begin]


def test_windows_are_for_their_groups() -> None:
    now = datetime(2026, 3, 2, 10, tzinfo=UTC)
    exam = Window(name="exam", groups=frozenset({"class"}), allow=("llama3.2",))
    everybody = Window(name="cap", num_predict=10)

    assert [
        h.window.name for h in in_force([exam, everybody], frozenset({"class"}), now, None)
    ] == ["exam", "cap"]
    assert [h.window.name for h in in_force([exam, everybody], frozenset(), now, None)] == ["cap"]
    assert exam.refuses("qwen:latest")
    assert not exam.refuses("llama3.2:1b")
    assert Window(name="none", none=True).refuses("llama3.2:1b")


def test_all_of_it_in_one_file(tmp_path) -> None:
    path = tmp_path / "hub.toml"
    path.write_text("""
[hub]
time_zone = "Europe/Berlin"

[[hub.pins]]
models = ["minilm", "llama3.2"]
days = ["Mon", "wednesday"]
from = "09:55"
until = 11:30:00

[[hub.windows]]
name = "Statistics 1"
days = [2026-12-01]
from = "10:00"
until = "12:00"
groups = ["class"]
allow = ["llama3.2*"]
num_predict = 200
""")
    sharing = Sharing.from_file(path)

    assert sharing.pins == (
        Pin.model_validate(
            {
                "models": ("minilm", "llama3.2"),
                "days": ("mon", "wed"),
                "from": "09:55",
                "until": "11:30",
            }
        ),
    )
    assert sharing.windows[0].days == (date(2026, 12, 1),)
    told = sharing.model_dump_json(
        exclude_unset=True, by_alias=True
    )  # as a Hub does to its service
    assert Sharing.from_environ({"OLLAMA_NB_SHARING": told}) == sharing
    assert sharing.zone == BERLIN


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[hub.pins]]\nmodels = ["a"]\ndays = ["moon"]', "pins.0.days.0: Value error, 'moon' is no day"),
        ('[[hub.pins]]\nmodels = ["a"]\ndays = []', "pins.0.days"),
        ('[[hub.pins]]\nmodels = ["a"]\nfrom = "9.55"', "pins.0.from: Value error, '9.55' is no time"),
        ('[[hub.pins]]\nmodels = ["a"]\nfrom = "24:01"', "is no time"),
        ('[[hub.pins]]\nmodels = ["a"]\nuntil = "10:60"', "is no time"),
        ('[[hub.pins]]\nmodels = ["a"]\nfrom = "10:00"\nuntil = "10:00"', "it lasts no time"),
        ("[[hub.pins]]\nmodels = []", "pins.0.models"),
        ('[[hub.pins]]\ndays = ["mon"]', "pins.0.models"),
        ('[[hub.windows]]\nname = "x"', "window 'x' says nothing"),
        ('[[hub.windows]]\nname = "x"\nnone = true\nallow = ["a"]', "window 'x' says nothing, or both"),
        ('[[hub.windows]]\nname = "x"\nnum_predict = 0', "windows.0.num_predict"),
        ('[[hub.windows]]\nname = "x"\nallow = ["a b"]', "is no pattern"),
        ('[[hub.windows]]\nname = "x"\nnum_predict = 1\nfor = ["a"]', "windows.0.for"),
        ('[hub]\ntime_zone = "Berlin"', "there is no zone 'Berlin'"),
    ],
)  # fmt: skip
def test_what_is_no_day_no_time_or_no_window_is_named(tmp_path, text: str, said: str) -> None:
    path = tmp_path / "hub.toml"
    path.write_text(text)

    with pytest.raises(BadSharing) as failure:
        Sharing.from_file(path)

    assert said in str(failure.value)
