"""Where the time of calls went, as a picture: a row a call, a colour a phase.

Which seconds there are is in `call_stats`; here they only find their place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ollama_nb.answers.drawing import axes_for_rows, open_sides

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

# Column -> what the legend calls it, and its colour: apart for those who see red and green alike.
PHASES = {
    "queue_s": ("queue", "#b5b5b5"),
    "load_s": ("load", "#e69f00"),
    "prompt_s": ("prompt", "#56b4e9"),
    "eval_s": ("eval", "#0072b2"),
}
REST = ("rest, or not told", "#eeeeee")
COLUMNS = frozenset([*PHASES, "started_at", "total_s", "verb", "model", "cell"])
IDLE_SHOWN = 0.04  # of the time in which something ran; idle time is cut to that
MOST_LABELS = 40


def draw(calls: pd.DataFrame, ax: Any = None) -> Any:
    """Draw the phases of calls over the seconds since the first one, and return the axes.

    Idle time is cut short where it is long; a dotted line marks each cut.
    """
    ax = axes_for_rows(len(calls), ax)
    begun = calls["started_at"]
    starts = [float(s) for s in (begun - begun.min()).dt.total_seconds()]
    lasting = [float(s) for s in calls["total_s"].fillna(0.0)]
    ends = [start + seconds for start, seconds in zip(starts, lasting, strict=True)]
    placed, cuts = without_idle(starts, ends)
    _draw_phases(calls, placed, lasting, ax)
    for cut in cuts:
        ax.axvline(cut, color="#999999", linewidth=0.8, linestyle=":", zorder=0)
    _label(calls, ax)
    ax.set_xlabel("seconds (dotted: idle time left out)" if cuts else "seconds")
    return ax


def _draw_phases(
    calls: pd.DataFrame, starts: Sequence[float], lasting: Sequence[float], ax: Any
) -> None:
    reached = list(starts)
    for column, (name, colour) in PHASES.items():
        widths = [float(s) for s in calls[column].astype("float64").fillna(0.0)]
        _bars(ax, reached, widths, label=name, color=colour)
        reached = [at + width for at, width in zip(reached, widths, strict=True)]
    ends = [start + seconds for start, seconds in zip(starts, lasting, strict=True)]
    rest = [max(end - at, 0.0) for end, at in zip(ends, reached, strict=True)]
    name, colour = REST
    _bars(ax, reached, rest, label=name, color=colour, edgecolor="#bbbbbb", lw=0.5)


def _bars(ax: Any, starts: Sequence[float], widths: Sequence[float], **look: Any) -> None:
    """Draw those bars that have a width."""
    rows = [row for row, width in enumerate(widths) if width]
    if rows:
        ax.barh(rows, [widths[row] for row in rows], left=[starts[row] for row in rows], **look)


def _label(calls: pd.DataFrame, ax: Any) -> None:
    step = -(-len(calls) // MOST_LABELS) or 1
    ax.set_yticks(range(0, len(calls), step), [_named(row) for _, row in calls[::step].iterrows()])
    ax.set_ylim(max(len(calls), 1) - 0.4, -0.6)  # the first one on top
    open_sides(ax)
    if len(calls):
        ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=5, frameon=False)
    else:
        ax.set_title("no calls yet")


def _named(call: pd.Series) -> str:
    import pandas as pd

    cell = "" if pd.isna(call["cell"]) else f"In[{call['cell']}] "
    return f"{cell}{call['verb']} {call['model']}"


def without_idle(starts: Sequence[float], ends: Sequence[float]) -> tuple[list[float], list[float]]:
    """Return where calls begin when long idle times between them are cut, and where the cuts are.

    >>> without_idle([0.0, 100.0], [1.0, 101.0])
    ([0.0, 1.08], [1.04])
    """
    order = sorted(range(len(starts)), key=lambda place: starts[place])
    kept = IDLE_SHOWN * _busy(starts, ends, order)
    placed, cuts = list(starts), []
    reached, cut = 0.0, 0.0
    for place in order:
        idle = starts[place] - reached
        if idle > 2 * kept and place != order[0]:
            cut += idle - kept
            cuts.append(round(starts[place] - cut - kept / 2, 6))
        placed[place] = round(starts[place] - cut, 6)
        reached = max(reached, ends[place])
    return placed, cuts


def _busy(starts: Sequence[float], ends: Sequence[float], order: Sequence[int]) -> float:
    """Return how long something ran."""
    busy = reached = 0.0
    for place in order:
        busy += max(ends[place] - max(reached, starts[place]), 0.0)
        reached = max(reached, ends[place])
    return busy
