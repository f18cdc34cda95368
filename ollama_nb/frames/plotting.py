"""`plot()`: vectors as dots in a plane, coloured by a column.

What the dots are is `dots`'; `scatter` draws a picture, `charting` a chart that can be pointed at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ollama_nb.frames.charting import chart
from ollama_nb.frames.dots import dots_of
from ollama_nb.frames.embedding import embed_column
from ollama_nb.frames.errors import BadColumns
from ollama_nb.frames.scatter import draw

if TYPE_CHECKING:
    import pandas as pd


def plot(
    frame: pd.DataFrame,
    /,
    color: Any = None,
    *,
    text: Any = None,
    method: str | None = None,
    seed: int = 0,
    interactive: bool = False,
    ax: Any = None,
) -> Any:
    """Draw vectors as dots in a plane: what is alike is near.

    Parameters
    ----------
    color
        What the dots are coloured by: a Series with the same index, such as `vectors.llm.cluster(
        4)`, or the name of a column beside `x` and `y`. Numbers with a fraction, and more whole
        ones than colours can tell apart, make a scale.
    text
        What is read when pointing at a dot, as for `color`; for `interactive`.
    method, seed
        As for `project()`, "pca" unless said. A frame with columns `x` and `y` is drawn as it is.
    interactive
        Draw it with altair, to point at and to zoom, instead of as a picture.
    ax
        Axes of matplotlib to draw on.

    Returns
    -------
    matplotlib.axes.Axes or altair.Chart
        Rows without a vector have no dot.

    Raises
    ------
    MissingPackage
        If matplotlib or altair is not installed.
    BadColumns, UnknownColumn
        For colours or texts that do not fit the frame.

    Examples
    --------
    >>> vectors = df["review"].llm.embed()  # doctest: +SKIP
    >>> vectors.llm.plot(color=df["product"])  # doctest: +SKIP
    """
    if text is not None and not interactive:
        raise BadColumns("text= is read by pointing at a dot: add interactive=True")
    if ax is not None and interactive:
        raise BadColumns("ax= is matplotlib's, and interactive=True draws with altair")
    dots = dots_of(frame, color, text, method, seed)
    return chart(dots) if interactive else draw(dots, ax)


def plot_texts(
    series: pd.Series[Any],
    /,
    color: Any = None,
    *,
    method: str = "pca",
    seed: int = 0,
    interactive: bool = False,
    ax: Any = None,
    **how: Any,
) -> Any:
    """Draw texts as dots in a plane, by their vectors.

    Parameters
    ----------
    color, method, seed, interactive, ax
        As for `plot()` of vectors. Pointing at a dot shows its text.
    how
        As for `s.llm.embed()`: model, dimensions, options, keep_alive.

    Returns
    -------
    matplotlib.axes.Axes or altair.Chart
        As for `plot()` of vectors.

    Examples
    --------
    >>> df["review"].llm.plot(color=df["product"])  # doctest: +SKIP
    """
    vectors = embed_column(series, **how)
    if not vectors.shape[1]:  # no text at all
        vectors[0] = float("nan")
    text = series if interactive else None
    shown = {"method": method, "seed": seed, "interactive": interactive, "ax": ax}
    return plot(vectors, color, text=text, **shown)
