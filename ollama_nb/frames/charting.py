"""Dots that can be pointed at, by altair."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ollama_nb.errors import MissingPackage
from ollama_nb.frames.errors import BadColumns
from ollama_nb.frames.scatter import COLOURS, MISSING, SCALE

if TYPE_CHECKING:
    import pandas as pd

    from ollama_nb.frames.dots import Dots

MOST_DOTS = 5_000  # altair's own limit: a chart holds its data
WIDTH, HEIGHT = 560, 380
NO_KIND = "(missing)"
SHAPES = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross")


def chart(dots: Dots) -> Any:
    """Return a chart of the dots, whose texts are read by pointing at them.

    Raises
    ------
    MissingPackage
        If altair is not installed.
    BadColumns
        If there are more dots than a chart may hold.
    """
    try:
        altair: Any = importlib.import_module("altair")
    except ImportError as error:
        raise MissingPackage("altair", "plots", "plot(interactive=True)") from error
    if len(dots.frame) > MOST_DOTS:
        raise BadColumns(
            f"an interactive chart holds {MOST_DOTS:,} dots, and these are {len(dots.frame):,}: "
            "take a .sample(), or leave interactive out"
        )
    axis = altair.Axis(labels=False, ticks=False, grid=False, domain=False)
    scale = altair.Scale(zero=False)
    encoded: dict[str, Any] = {
        "x": altair.X("x:Q", title=dots.axes[0], axis=axis, scale=scale),
        "y": altair.Y("y:Q", title=dots.axes[1], axis=axis, scale=scale),
    }
    if dots.color:
        encoded |= _colours(altair, dots)
    told = [name for name in ("text", "color") if name in dots.frame]
    if told:
        titles = {"text": "text", "color": dots.color}
        encoded["tooltip"] = [altair.Tooltip(f"{name}:N", title=titles[name]) for name in told]
    drawn = altair.Chart(altair.Data(values=_records(dots.frame, dots.kinds)))
    drawn = drawn.mark_point(filled=True, size=60, opacity=0.85).encode(**encoded)
    return drawn.properties(width=WIDTH, height=HEIGHT).interactive()


def _colours(altair: Any, dots: Dots) -> dict[str, Any]:
    """Return how dots are coloured: by a scale, or by kinds, which beyond six have shapes too."""
    if dots.kinds is None:
        scale = altair.Scale(scheme=SCALE)
        return {"color": altair.Color("color:Q", title=dots.color, scale=scale)}
    kinds = [str(kind) for kind in dots.kinds]
    colours = [COLOURS[place % len(COLOURS)] for place in range(len(kinds))]
    shapes = [SHAPES[place // len(COLOURS)] for place in range(len(kinds))]
    if dots.frame["color"].isna().any():
        kinds, colours, shapes = [*kinds, NO_KIND], [*colours, MISSING], [*shapes, SHAPES[0]]
    scales = (altair.Scale(domain=kinds, range=colours), altair.Scale(domain=kinds, range=shapes))
    return {
        "color": altair.Color("color:N", title=dots.color, scale=scales[0]),
        "shape": altair.Shape("color:N", title=dots.color, scale=scales[1]),
    }


def _records(frame: pd.DataFrame, kinds: tuple[Any, ...] | None) -> list[dict[str, Any]]:
    """Return the dots as values of JSON."""
    columns: dict[str, list[Any]] = {
        name: frame[name].astype(float).tolist() for name in ("x", "y")
    }
    if "color" in frame:
        missing = frame["color"].isna()
        columns["color"] = [
            (None if kinds is None else NO_KIND)
            if gone
            else float(value)
            if kinds is None
            else str(value)
            for value, gone in zip(frame["color"], missing, strict=True)
        ]
    if "text" in frame:
        gone = frame["text"].isna()
        columns["text"] = [
            "" if no else str(text) for text, no in zip(frame["text"], gone, strict=True)
        ]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
