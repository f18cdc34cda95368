"""Tables in prompts: Markdown, which models read well, with a cap and a line that says so.

What is cut is counted in letters, since only a server knows a model's tokens: a token of a table
has about three.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

ROWS = 50
TOKENS = 2000
LETTERS_A_TOKEN = 3
CELL_LETTERS = 500


def is_table(value: Any) -> bool:
    """Tell whether a value is a frame or a column of pandas or polars; neither is imported."""
    loaded = [sys.modules.get(name) for name in ("pandas", "polars")]
    kinds = [
        kind
        for module in loaded
        for kind in (getattr(module, "DataFrame", None), getattr(module, "Series", None))
        if isinstance(kind, type)  # none while the module is being imported
    ]
    return isinstance(value, tuple(kinds))


def table(value: Any, rows: int = ROWS, tokens: int = TOKENS) -> str:
    """Write a frame or a column as Markdown; the filter `table` of prompts.

    Parameters
    ----------
    rows, tokens
        The most that are written: the first rows. `tokens` is an estimate.
    """
    heads, body, total = _parts(value, rows)
    head = _line(heads)
    lines = [head, "|" + " --- |" * len(heads)]
    left = tokens * LETTERS_A_TOKEN - sum(map(len, lines))
    written = 0
    for cells in body:
        line = _line(cells)
        left -= len(line) + 1
        if left < 0 and written:
            break
        lines.append(line)
        written += 1
    if written < total:
        lines.append(f"\n(the first {written:,} of {total:,} rows; the others are left out)")
    return "\n".join(lines)


def _parts(value: Any, rows: int) -> tuple[list[Any], Iterable[Sequence[Any]], int]:
    """Return the names of the columns, the first rows, and how many rows there are."""
    if hasattr(value, "to_frame"):
        value = value.to_frame()
    if hasattr(value, "iter_rows"):  # polars
        return list(value.columns), value.head(rows).iter_rows(), len(value)
    columns = [_flat(label) for label in value.columns]
    first = value.head(rows)
    if _is_counted(value.index):
        return columns, first.itertuples(index=False, name=None), len(value)
    names = [name if name is not None else "" for name in value.index.names]
    return [*names, *columns], _with_index(first), len(value)


def _is_counted(index: Any) -> bool:
    """Tell whether an index only counts 0, 1, 2, which tells a model nothing."""
    pandas = sys.modules["pandas"]
    return (
        isinstance(index, pandas.RangeIndex)
        and (index.start, index.step) == (0, 1)
        and index.name is None
    )


def _with_index(frame: Any) -> Iterator[list[Any]]:
    for label, cells in zip(frame.index, frame.itertuples(index=False, name=None), strict=True):
        yield [*(label if isinstance(label, tuple) else [label]), *cells]


def _flat(label: Any) -> str:
    return " ".join(map(str, label)) if isinstance(label, tuple) else str(label)


def _line(cells: Iterable[Any]) -> str:
    return "| " + " | ".join(map(_cell, cells)) + " |"


def _cell(value: Any) -> str:
    r"""Write a value into a cell, where `|` and line ends would break the table.

    >>> _cell("a|b\nc")
    'a\\|b c'
    """
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    text = " ".join(text.splitlines()).replace("|", r"\|")
    return text if len(text) <= CELL_LETTERS else text[: CELL_LETTERS - 3] + "..."
