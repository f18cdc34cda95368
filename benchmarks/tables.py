"""Tables in Markdown, and a plot, of the JSON lines that the benchmarks print.

    python -m benchmarks > lines; python -m benchmarks.tables lines [--plot ratios.png]

A benchmark's rows are its table; what they have in common is said once. The plot has each row's
ratio to llama-server: longer bars are better, whether the unit counts or waits.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

RATIO = "ours/llama-server"
Row = dict[str, Any]


def rows_of(line: Row) -> list[Row]:
    """A benchmark's rows; one that has none is a row itself."""
    rows = line.get("rows")
    if isinstance(rows, list):
        return [flat(row) for row in rows]
    kept = {key: value for key, value in line.items() if key not in ("benchmark", "took_s")}
    return [flat(kept)]


def flat(row: Row, before: str = "") -> Row:
    """Nested dictionaries as columns."""
    found: Row = {}
    for key, value in row.items():
        if isinstance(value, dict):
            found |= flat(value, f"{before}{key}, ")
        else:
            found[f"{before}{key}"] = value
    return found


def table(rows: list[Row]) -> str:
    """Rows as Markdown; a column for every key that one of them has."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    lines = [columns, ["---"] * len(columns)]
    lines += [[shown(row.get(column, "")) for column in columns] for row in rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def shown(value: object) -> str:
    """A cell."""
    return f"{value:,.4g}" if isinstance(value, float) else str(value).replace("|", "\\|")


def page(lines: list[Row]) -> str:
    """All tables, the machine above them."""
    parts = []
    for line in lines:
        if line["benchmark"] == "machine":
            parts.append("; ".join(v for k, v in line.items() if k != "benchmark") + ".")
            continue
        parts.append(f"## {line['benchmark']}\n\n{table(rows_of(line))}")
    return "\n\n".join(parts) + "\n"


def advantages(lines: list[Row]) -> dict[str, float]:
    """How many times better ours is than llama-server, by row."""
    found = {}
    for line in lines:
        for row in rows_of(line):
            if row.get(RATIO):
                unit, streams = str(row.get("unit", "")), row.get("streams")
                number = streams and f"{streams} stream{'s' * (streams != 1)}"
                names = (line["benchmark"], row.get("model"), row.get("what"), number)
                name = ", ".join(str(part) for part in (*names, unit) if part)
                found[name] = 1 / row[RATIO] if unit.endswith(", s") else row[RATIO]
    return found


def plot(lines: list[Row], path: Path) -> None:
    """A bar for each row that has a ratio, on a logarithmic axis."""
    from matplotlib.figure import Figure

    found = advantages(lines)
    figure = Figure(figsize=(9, 1 + 0.22 * len(found)), layout="constrained")
    axes = figure.subplots()
    colours = ["tab:green" if value >= 1 else "tab:red" for value in found.values()]
    axes.barh(list(found), [value - 1 for value in found.values()], left=1, color=colours)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.axvline(1, color="black", linewidth=0.8)
    axes.margins(y=0.01)
    axes.invert_yaxis()
    axes.set_xlabel("times as good as llama-server")
    axes.tick_params(labelsize=7)
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lines", type=argparse.FileType("r"), help="a file, or - for stdin")
    parser.add_argument("--plot", type=Path, metavar="PNG")
    options = parser.parse_args()
    lines = [json.loads(line) for line in options.lines if line.strip()]
    sys.stdout.write(page(lines))
    if options.plot:
        plot(lines, options.plot)


if __name__ == "__main__":
    main()
