"""Ours beside llama-server: both up the whole time, measured in turn, round after round.

A script asks one question: it names its rows, each with a function from a server and the round to
what was measured, by unit. A row tells the medians of both and the median of the rounds' own
ratios. Without a llama-server the rows tell ours alone.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from benchmarks.models import MODELS, models
from benchmarks.servers import Target, llama_server, ours
from benchmarks.texts import Texts, texts_for

OURS, PEER = "ours", "llama-server"
Measures = dict[str, float]
Measure = Callable[[Target, int], Measures]
Rows = Callable[[Texts], Iterator[tuple[str, Measure]]]


def arguments(doc: str, rounds: int, default: str = "half-billion") -> argparse.ArgumentParser:
    """The options that all of these scripts have."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=[default], metavar="MODEL", help=MODELS)
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--llama-server", metavar="PATH", help="compare with this program")
    return parser


@contextmanager
def side_by_side(
    path: Path, peer: str | None, *, streams: int, num_ctx: int, cached: bool = True
) -> Iterator[dict[str, Target]]:
    """Both servers with as many slots; `cached`: llama-server may keep what it has read."""
    with ExitStack() as stack:
        targets = {OURS: stack.enter_context(ours(path, streams, num_ctx))}
        if peer:
            other = stack.enter_context(llama_server(peer, path, streams, num_ctx))
            targets[PEER] = replace(other, cached=cached)
        yield targets


def compared(
    targets: dict[str, Target], measure: Measure, rounds: int
) -> Iterator[dict[str, object]]:
    """A row for each unit that was measured."""
    found: dict[str, dict[str, list[float]]] = {}
    for number in range(rounds):
        for who, target in targets.items():
            for unit, value in measure(target, number).items():
                found.setdefault(unit, {name: [] for name in targets})[who].append(value)
    for unit, values in found.items():
        row: dict[str, object] = {"unit": unit}
        row |= {who: rounded(statistics.median(told)) for who, told in values.items()}
        if PEER in values:
            ratios = [a / b for a, b in zip(values[OURS], values[PEER], strict=True)]
            row[f"{OURS}/{PEER}"] = rounded(statistics.median(ratios))
        yield row


def run(
    name: str,
    options: argparse.Namespace,
    rows: Rows,
    *,
    streams: int = 16,
    num_ctx: int = 1024,
    cached: bool = True,
) -> None:
    """Measure every row for every model, and print the line."""
    told = []
    for model, path in models(options.models).items():
        servers = side_by_side(
            path, options.llama_server, streams=streams, num_ctx=num_ctx, cached=cached
        )
        with servers as targets:
            for what, measure in rows(texts_for(model)):
                for row in compared(targets, measure, options.rounds):
                    told.append({"model": model, "what": what, **row})
                    print(told[-1], file=sys.stderr)
    print(json.dumps({"benchmark": name, "rows": told}))


def rounded(value: float) -> float:
    """Three digits, which is more than a noisy machine can tell."""
    return float(f"{value:.3g}")
