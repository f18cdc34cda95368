"""Bars of days, stacked, as an SVG draws them: numbers to places, nothing of what they mean."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 480.0, 190.0
LEFT, RIGHT, TOP, BOTTOM = 46.0, 16.0, 10.0, 24.0
LEAST_LABEL = 50.0  # between the names of two days
NICE = {
    1: 4,
    2: 4,
    3: 3,
    4: 4,
    5: 5,
    6: 3,
    8: 4,
    10: 5,
}  # ends of an axis, and how many steps lead there


@dataclass(frozen=True, slots=True)
class Bar:
    """A part of a day's bar, of one series (counted from 0), and what it says when pointed at."""

    x: float
    y: float
    width: float
    height: float
    series: int
    said: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A number or a day on an axis, and its place there."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Plot:
    """All that is drawn; `summary` says it in a sentence to who does not see it."""

    unit: str
    summary: str
    series: tuple[str, ...]
    bars: tuple[Bar, ...]
    heights: tuple[Mark, ...]  # on the y axis
    days: tuple[Mark, ...]  # on the x axis
    width: float = WIDTH
    height: float = HEIGHT
    left: float = LEFT
    bottom: float = HEIGHT - BOTTOM


def stacked(
    unit: str,
    days: Sequence[str],
    series: Sequence[str],
    values: Mapping[tuple[str, str], float],
) -> Plot:
    """Bars of `values`, by day and series; what has none is 0. Days are ISO dates, in order."""
    totals = [sum(values.get((day, name), 0.0) for name in series) for day in days]
    top, num_steps = axis(max(totals, default=0.0))
    step = (WIDTH - LEFT - RIGHT) / len(days)
    scale = (HEIGHT - TOP - BOTTOM) / top
    bars = []
    for place, day in enumerate(days):
        base = HEIGHT - BOTTOM
        for index, name in enumerate(series):
            value = values.get((day, name), 0.0)
            if value <= 0:
                continue
            height = value * scale
            base -= height
            x = LEFT + place * step + 0.12 * step
            said = f"{day}, {name}: {value:,.0f} {unit}"
            bars.append(
                Bar(_round(x), _round(base), _round(0.76 * step), _round(height), index, said)
            )
    return Plot(
        unit=unit,
        summary=_summary(unit, days, totals),
        series=tuple(series),
        bars=tuple(bars),
        heights=_heights(top, num_steps, scale),
        days=_days(days, step),
    )


def axis(most: float) -> tuple[float, int]:
    """A round number that is no smaller, for the end of an axis, and the steps that lead there.

    >>> [axis(most) for most in (0, 0.3, 7, 12, 1_234)]
    [(1.0, 4), (1.0, 4), (8.0, 4), (20.0, 4), (2000.0, 4)]
    """
    if most <= 1:
        return 1.0, NICE[1]
    power = 10.0 ** math.floor(math.log10(most))
    top = next(nice for nice in NICE if nice * power >= most * (1 - 1e-12))
    return float(top * power), NICE[top]


def short(value: float) -> str:
    """A number in few letters.

    >>> [short(value) for value in (0, 0.25, 250, 2_500, 30_000, 1_250_000, 2e9)]
    ['0', '0.25', '250', '2.5k', '30k', '1.25M', '2G']
    """
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.4g}{letter}"
    return f"{value:.3g}"


def _summary(unit: str, days: Sequence[str], totals: Sequence[float]) -> str:
    most = max(range(len(days)), key=lambda place: totals[place])
    return (
        f"{sum(totals):,.0f} {unit} from {days[0]} to {days[-1]}; most on {days[most]}: "
        f"{totals[most]:,.0f}"
    )


def _heights(top: float, num_steps: int, scale: float) -> tuple[Mark, ...]:
    values = [top * n / num_steps for n in range(num_steps + 1)]
    return tuple(Mark(_round(HEIGHT - BOTTOM - value * scale), short(value)) for value in values)


def _days(days: Sequence[str], step: float) -> tuple[Mark, ...]:
    every = max(math.ceil(LEAST_LABEL / step), 1)
    places = range(len(days) - 1, -1, -every)  # today is always named
    return tuple(Mark(_round(LEFT + (place + 0.5) * step), days[place][5:]) for place in places)


def _round(number: float) -> float:
    return round(number, 2)
