"""`DrawnFrame`: a DataFrame whose `.plot()` without arguments draws what its rows mean.

Filtered, sorted or copied it stays one; without the columns that the picture needs it is a plain
DataFrame. Imports pandas, so that it is imported when a frame is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import pandas as pd
from pandas.plotting import PlotAccessor

if TYPE_CHECKING:
    from collections.abc import Callable, Set


def of_same_kind(kind: type[pd.DataFrame], columns: Set[str]) -> Callable[..., pd.DataFrame]:
    """Return what pandas makes frames of a kind with: of that kind if its columns are there."""

    def made(*arguments: Any, **named: Any) -> pd.DataFrame:
        frame: pd.DataFrame = pd.DataFrame(*arguments, **named)
        if columns <= set(frame.columns):
            frame = kind(frame)
        return frame

    return made


class DrawnFrame(pd.DataFrame):
    """A DataFrame to everybody, with a picture of its own.

    `drawn_from` are the columns that the picture is made of.
    """

    drawn_from: ClassVar[frozenset[str]] = frozenset()

    @property
    def plot(self) -> DrawnPlot:
        """Draw the frame's own picture, on `ax` if given; with other arguments, as pandas does."""
        return DrawnPlot(self)

    def draw(self, ax: Any) -> Any:
        """Draw the picture on axes, new ones if there are none, and return them."""
        raise NotImplementedError

    @property
    def _constructor(self) -> Callable[..., pd.DataFrame]:
        return of_same_kind(type(self), self.drawn_from)


class DrawnPlot(PlotAccessor):
    """pandas' `.plot`, called without arguments for the picture of the frame."""

    def __init__(self, frame: DrawnFrame) -> None:
        super().__init__(frame)
        self._frame = frame

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Draw."""
        if args or set(kwargs) - {"ax"}:
            return super().__call__(*args, **kwargs)
        return self._frame.draw(kwargs.get("ax"))
