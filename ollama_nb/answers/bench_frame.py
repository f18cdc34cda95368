"""`BenchFrame`: what `bench()` returns, a DataFrame whose `.plot()` compares the models' speed."""

from __future__ import annotations

from typing import Any

from ollama_nb.answers.drawing import axes_for_rows, open_sides
from ollama_nb.answers.drawn_frame import DrawnFrame

COLOUR = "#0072b2"


class BenchFrame(DrawnFrame):
    """Medians of a benchmark, a row a model; see `bench()`."""

    drawn_from = frozenset(
        ["tokens_per_s", "min_tokens_per_s", "max_tokens_per_s", "first_token_s"]
    )

    def draw(self, ax: Any) -> Any:
        """Draw the tokens a second of each model: the median, and a line from least to most."""
        ax = axes_for_rows(2 * len(self), ax)
        rows = range(len(self))
        medians, least, most = (
            self[name].astype("float64").fillna(0.0).to_numpy()
            for name in ("tokens_per_s", "min_tokens_per_s", "max_tokens_per_s")
        )
        ax.barh(rows, medians, color=COLOUR, height=0.6)
        ax.errorbar(
            medians, rows, xerr=[medians - least, most - medians], fmt="none", ecolor="#333333"
        )
        for row, (model, median) in enumerate(zip(self.index, medians, strict=True)):
            ax.annotate(
                self._told(row, model, median),
                (most[row], row),
                xytext=(6, 0),
                textcoords="offset points",
                va="center",
            )
        ax.set_yticks(rows, [str(model) for model in self.index])
        ax.set_ylim(max(len(self), 1) - 0.4, -0.6)  # the first one on top
        ax.set_xlim(0, max(most.max(initial=0.0), 1e-9) * 1.5)  # room for the words
        ax.set_xlabel("tokens a second: the median, from least to most")
        open_sides(ax)
        return ax

    def _told(self, row: int, model: object, median: float) -> str:
        if not median:
            return "no answer"
        first = self["first_token_s"].iloc[row]
        return f"{median:,.1f}, first word after {first:.2f} s"
