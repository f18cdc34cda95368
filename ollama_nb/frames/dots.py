"""What a picture of vectors shows: where each dot is, what its colour tells, what its text is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ollama_nb.frames.errors import BadColumns, UnknownColumn
from ollama_nb.frames.projecting import X, Y, project

if TYPE_CHECKING:
    import pandas as pd

MOST_KINDS = 36  # that colours and shapes can tell apart


@dataclass(frozen=True)
class Dots:
    """What is drawn.

    Attributes
    ----------
    frame
        Columns `x` and `y`, and where there are some `color` and `text`; no dot without a place.
    color
        What the colours tell: the name of a column, empty without colours.
    kinds
        The values that have a colour each, in the order of the legend; None for a scale.
    axes
        What stands at the two axes.
    """

    frame: pd.DataFrame
    color: str
    kinds: tuple[Any, ...] | None
    axes: tuple[str, str]


def dots_of(frame: pd.DataFrame, color: Any, text: Any, method: str | None, seed: int) -> Dots:
    """Return the dots of a frame: vectors, which are projected, or points, columns `x` and `y`.

    Raises
    ------
    UnknownColumn, BadColumns
        For colours or texts that do not fit the frame.
    """
    import pandas as pd

    if {X, Y} <= set(frame.columns):
        if method is not None:
            raise BadColumns("method= is for vectors, and this frame has x and y already")
        points, axes = frame, _axes(frame.attrs)
    else:
        points = project(frame, method or "pca", seed=seed)
        axes = _axes(points.attrs)
    columns = {X: points[X], Y: points[Y]}
    told = {"color": _column(frame, color, "color"), "text": _column(frame, text, "text")}
    columns |= {name: column for name, column in told.items() if column is not None}
    arrays = {name: column.array for name, column in columns.items()}
    drawn: pd.DataFrame = pd.DataFrame(arrays).dropna(subset=[X, Y])
    if told["color"] is None:
        return Dots(drawn, "", None, axes)
    name = told["color"].name
    return Dots(drawn, "color" if name is None else str(name), _kinds(drawn["color"]), axes)


def _axes(attrs: Any) -> tuple[str, str]:
    """Return what stands at the axes."""
    if attrs.get("method") == "umap":
        return "UMAP 1", "UMAP 2"
    if "shares" not in attrs:
        return X, Y
    first, second = attrs["shares"]
    return (
        f"first principal component ({first:.0%} of the variance)",
        f"second ({second:.0%})",
    )


def _column(frame: pd.DataFrame, given: Any, what: str) -> pd.Series[Any] | None:
    """Return the values of a column, or those that are given.

    Raises
    ------
    UnknownColumn, BadColumns
        If there are none for each row.
    """
    import pandas as pd

    if given is None:
        return None
    if isinstance(given, pd.Series):
        if not given.index.equals(frame.index):
            raise BadColumns(f"{what} has another index than the vectors: reset or align them")
        return given
    if isinstance(given, str):
        if given not in frame.columns:
            raise UnknownColumn(given, list(map(str, frame.columns[:20])))
        return frame[given]
    raise BadColumns(
        f"{what} is a Series with the same index, or the name of a column beside x and y, "
        f"not {type(given).__name__}"
    )


def _kinds(values: pd.Series[Any]) -> tuple[Any, ...] | None:
    """Return the values that have a colour each; None where a scale tells more.

    Raises
    ------
    BadColumns
        If there are too many of them, and they are no numbers.
    """
    import pandas as pd

    if pd.api.types.is_float_dtype(values.dtype):
        return None
    present = values.dropna()
    if isinstance(values.dtype, pd.CategoricalDtype):
        there = set(present)
        kinds = [kind for kind in values.cat.categories if kind in there]
    else:
        kinds = sorted(present.unique(), key=lambda kind: (str(type(kind)), kind))
    if len(kinds) > MOST_KINDS:
        if pd.api.types.is_integer_dtype(values.dtype):
            return None
        raise BadColumns(
            f"color has {len(kinds):,} different values, and {MOST_KINDS} can be told apart: "
            "group them, or give numbers"
        )
    return tuple(kinds)
