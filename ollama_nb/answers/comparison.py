"""`Comparison`: what `compare()` returns, a DataFrame that a notebook shows side by side."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import pandas as pd

from ollama_nb.answers.drawn_frame import of_same_kind

if TYPE_CHECKING:
    from collections.abc import Callable

COLUMNS = frozenset(["answer", "error", "answer_tokens", "tokens_per_s", "total_s", "load_s"])
MOST_SIDE_BY_SIDE = 6
CELL = "text-align:left;vertical-align:top;white-space:pre-wrap;max-width:32em"
FACTS = f"{CELL};color:var(--jp-ui-font-color2,#666)"


class Comparison(pd.DataFrame):
    """Answers of several models to one prompt, a row a model; see `compare()`."""

    @property
    def _constructor(self) -> Callable[..., pd.DataFrame]:
        return of_same_kind(type(self), COLUMNS)

    def _repr_html_(self) -> str:
        """Show the answers beside each other, whole; too many to fit are shown as a table."""
        if not 0 < len(self) <= MOST_SIDE_BY_SIDE:
            return self.to_html()
        heads = "".join(f"<th style='{CELL}'>{html.escape(str(m))}</th>" for m in self.index)
        said = "".join(f"<td style='{CELL}'>{html.escape(_said(r))}</td>" for r in self._rows())
        facts = "".join(f"<td style='{FACTS}'>{html.escape(_facts(r))}</td>" for r in self._rows())
        return (
            f"<table><thead><tr>{heads}</tr></thead>"
            f"<tbody><tr>{said}</tr><tr>{facts}</tr></tbody></table>"
        )

    def _rows(self) -> list[pd.Series]:
        return [row for _, row in self.iterrows()]


def _said(row: pd.Series) -> str:
    return str(row["answer"]) if pd.isna(row["error"]) else str(row["error"])


def _facts(row: pd.Series) -> str:
    """Say what an answer took, as far as that is known."""
    known = (
        ("{:,.0f} tokens", row["answer_tokens"]),
        ("{:,.1f} tokens/s", row["tokens_per_s"]),
        ("{:.2f} s", row["total_s"]),
        ("load {:.2f} s", row["load_s"]),
    )
    return " · ".join(words.format(value) for words, value in known if pd.notna(value))
