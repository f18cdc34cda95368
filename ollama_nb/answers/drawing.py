"""What pictures of figures have in common: matplotlib, when it is needed, and axes of their size.

What is drawn is in `timeline` and `bench_frame`.
"""

from __future__ import annotations

from typing import Any

from ollama_nb.errors import MissingPackage

WIDTH_IN, ROW_IN, FRAME_IN = 8.0, 0.3, 1.2
MOST_ROWS_IN = 6.0  # then rows become thinner


def axes_for_rows(num_rows: int, ax: Any = None) -> Any:
    """Return axes that are high enough for so many horizontal bars, or those that are given."""
    return new_axes(FRAME_IN + min(max(num_rows, 1) * ROW_IN, MOST_ROWS_IN), ax)


def new_axes(height_in: float, ax: Any = None) -> Any:
    """Return axes of a height, or those that are given.

    Raises
    ------
    MissingPackage
        If matplotlib is not installed.
    """
    if ax is not None:
        return ax
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise MissingPackage("matplotlib", "plots", "this picture") from error
    _, axes = pyplot.subplots(figsize=(WIDTH_IN, height_in), layout="constrained")
    return axes


def open_sides(ax: Any) -> None:
    """Leave out the lines above and beside the bars."""
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
