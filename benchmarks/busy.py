"""Tokens a second of one stream, alone and beside a process that computes; as llama.cpp would wait.

    python -m benchmarks.busy [--models half-billion] [--busy 1] [--llama-server PATH]

`spinning` is our server with libgomp's own patience at a barrier (GOMP_SPINCOUNT=300000), which a
worker had before it gave way. All are measured in turn, round after round.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.models import MODELS, models
from benchmarks.servers import Target, llama_server, ours, rate
from benchmarks.throughput import ENGLISH, PROMPTS

COUNT = 32  # tokens; a spinning server takes half a minute for them beside a busy process
LIBGOMPS_OWN = "300000"  # libgomp/env.c, where neither OMP_WAIT_POLICY nor GOMP_SPINCOUNT is set
COMPUTING = "print(flush=True)\nwhile True: pass"


@contextmanager
def computing(number: int) -> Iterator[None]:
    """So many processes that compute, as a kernel does."""
    command = [sys.executable, "-c", COMPUTING]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(number)]
    try:
        for process in running:
            assert process.stdout is not None
            process.stdout.readline()
        yield
    finally:
        for process in running:
            process.kill()
            process.communicate()


def measure(
    targets: dict[str, Target], prompt: str, busy: int, rounds: int
) -> Iterator[dict[str, object]]:
    """A row a server: medians of tokens a second, alone and beside the busy processes."""
    alone: dict[str, list[float]] = {who: [] for who in targets}
    beside: dict[str, list[float]] = {who: [] for who in targets}
    for _ in range(rounds):
        for who, target in targets.items():
            alone[who].append(rate(target, prompt, 1, COUNT))
            with computing(busy):
                beside[who].append(rate(target, prompt, 1, COUNT))
    for who in targets:
        yield {
            "server": who,
            "alone": round(statistics.median(alone[who]), 1),
            "beside": round(statistics.median(beside[who]), 1),
        }


def started(stack: ExitStack, path: Path, peer: str | None) -> dict[str, Target]:
    """All servers, the model loaded."""
    targets = {
        "ours": stack.enter_context(ours(path, 1)),
        "spinning": stack.enter_context(ours(path, 1, GOMP_SPINCOUNT=LIBGOMPS_OWN)),
    }
    if peer:
        targets["llama-server"] = stack.enter_context(llama_server(peer, path, 1))
    return targets


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["half-billion"], help=MODELS)
    parser.add_argument("--busy", type=int, default=1, help="number of processes that compute")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--llama-server", help="path of a llama-server to compare with")
    options = parser.parse_args()
    rows = []
    for name, path in models(options.models).items():
        with ExitStack() as stack:
            targets = started(stack, path, options.llama_server)
            prompt = PROMPTS.get(name, ENGLISH)
            for row in measure(targets, prompt, options.busy, options.rounds):
                rows.append({"model": name, **row})
                print(rows[-1], file=sys.stderr)
    print(json.dumps({"benchmark": "busy", "busy": options.busy, "rows": rows}))


if __name__ == "__main__":
    main()
