"""Dots as a picture, by matplotlib: it stays in the saved notebook, wherever that is read.

Its ground is that of matplotlib's style, so that words are readable on a dark page as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ollama_nb.answers.drawing import new_axes, open_sides

if TYPE_CHECKING:
    import pandas as pd

    from ollama_nb.frames.dots import Dots

HEIGHT_IN = 4.5
# Told apart also by those who see red and green alike; beyond them shapes change.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")
SHAPES = ("o", "s", "^", "D", "v", "P")
MISSING = "#b0b0b0"
SCALE = "viridis"
# Up to so many dots, their area in points; more are drawn smaller.
AREAS = ((300, 40.0), (3_000, 14.0), (float("inf"), 4.0))


def draw(dots: Dots, ax: Any = None) -> Any:
    """Draw dots, and return the axes."""
    ax = new_axes(HEIGHT_IN, ax)
    look = {"s": next(area for most, area in AREAS if len(dots.frame) <= most), "alpha": 0.85}
    if not dots.color:
        ax.scatter(dots.frame["x"], dots.frame["y"], color=COLOURS[0], linewidths=0, **look)
    elif dots.kinds is None:
        _draw_scale(dots, ax, look)
    else:
        _draw_kinds(dots, ax, look)
    ax.set(xticks=[], yticks=[], xlabel=dots.axes[0], ylabel=dots.axes[1])
    open_sides(ax)
    return ax


def _draw_kinds(dots: Dots, ax: Any, look: dict[str, Any]) -> None:
    """Draw a kind after the other, and a legend beside the dots."""
    _draw_missing(dots, ax, look)
    for place, kind in enumerate(dots.kinds or ()):
        these = dots.frame[(dots.frame["color"] == kind).fillna(False).astype(bool)]
        colour, shape = COLOURS[place % len(COLOURS)], SHAPES[place // len(COLOURS)]
        ax.scatter(
            these["x"],
            these["y"],
            color=colour,
            marker=shape,
            label=str(kind),
            linewidths=0,
            **look,
        )
    if ax.get_legend_handles_labels()[0]:
        ax.legend(title=dots.color, loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)


def _draw_scale(dots: Dots, ax: Any, look: dict[str, Any]) -> None:
    """Draw all dots by a scale of colours, and the scale."""
    values = _numbers(dots.frame["color"])
    _draw_missing(dots, ax, look)
    drawn = ax.scatter(
        dots.frame["x"],
        dots.frame["y"],
        c=values,
        cmap=SCALE,
        linewidths=0,
        plotnonfinite=False,
        **look,
    )
    ax.figure.colorbar(drawn, ax=ax, label=dots.color)


def _draw_missing(dots: Dots, ax: Any, look: dict[str, Any]) -> None:
    missing = dots.frame[dots.frame["color"].isna()]
    if len(missing):
        ax.scatter(
            missing["x"], missing["y"], color=MISSING, label="(missing)", linewidths=0, **look
        )


def _numbers(values: pd.Series[Any]) -> Any:
    return values.astype("float64").to_numpy()
