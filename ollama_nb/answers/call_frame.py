"""`CallFrame`: what `stats()` returns, a DataFrame whose `.plot()` is the timeline of its calls."""

from __future__ import annotations

from typing import Any

from ollama_nb.answers import timeline
from ollama_nb.answers.drawn_frame import DrawnFrame


class CallFrame(DrawnFrame):
    """Calls, a row each; see `stats()`."""

    drawn_from = timeline.COLUMNS

    def draw(self, ax: Any) -> Any:
        """Draw where the time went."""
        return timeline.draw(self, ax)
