"""Tokens a second at 1, 4 and 16 streams over HTTP, against a bare loop and llama-server.

    python -m benchmarks.throughput [--models demo half-billion] [--llama-server PATH]

`seeded` is ours with reproducible answers (docs/reproducibility.md). All are measured in turn,
round after round, so that a noisy machine hits all alike; ratios are the median of the rounds' own.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from ollama_nb_server.engine.engine import threads_for
from ollama_nb_server.library import gguf

from benchmarks.bare import BareLoop
from benchmarks.models import MODELS, models
from benchmarks.servers import llama_server, ours, rate

LENGTH = 60  # tokens, so few that hardly a stream ends by itself
PROMPTS = {"demo": "Once upon a time there was a fox", "half-billion": "abcd efgh ijkl mnop"}
ENGLISH = "A long story about people who build a house by the sea, and what they say:"
TRIAL_LENGTH, WARM_UP = 20, 5
PROMPT_IDS = list(range(300, 312))


def bare_loop(path: Path, streams: int) -> BareLoop:
    """With the threads that the engine itself would take, and the faster kind of attention."""
    threads = threads_for(gguf.read(path).parameter_count, 0)
    loops = [BareLoop(path, streams, threads, flash=flash) for flash in (True, False)]
    fastest = max(loops, key=lambda loop: loop.run(PROMPT_IDS, TRIAL_LENGTH))
    for loop in loops:
        if loop is not fastest:
            loop.close()
    return fastest


def measure(
    name: str, path: Path, streams: int, rounds: int, length: int, peer: str | None
) -> dict[str, object]:
    """One row: medians of tokens a second, and of the ratios of each round."""
    prompt = PROMPTS.get(name, ENGLISH)
    runs: dict[str, list[float]] = {"bare": [], "ours": [], "seeded": [], "llama-server": []}
    with ExitStack() as stack:
        bare = bare_loop(path, streams)
        stack.callback(bare.close)
        target = stack.enter_context(ours(path, streams))
        other = stack.enter_context(llama_server(peer, path, streams)) if peer else None
        for server in (target, other) if other else (target,):
            rate(server, prompt, streams, WARM_UP)  # so that all have their slots
        for _ in range(rounds):
            runs["bare"].append(bare.run(PROMPT_IDS, length))
            runs["ours"].append(rate(target, prompt, streams, length))
            seeded = replace(target, seeded=True)
            runs["seeded"].append(rate(seeded, prompt, streams, length))
            if other is not None:
                runs["llama-server"].append(rate(other, prompt, streams, length))
    row: dict[str, object] = {"model": name, "streams": streams}
    row |= {who: round(statistics.median(r), 1) for who, r in runs.items() if r}
    for who in ("bare", "seeded", "llama-server"):
        if runs[who]:
            ratios = [a / b for a, b in zip(runs["ours"], runs[who], strict=True)]
            row[f"ours/{who}"] = round(statistics.median(ratios), 3)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["demo", "half-billion"], help=MODELS)
    parser.add_argument("--streams", nargs="+", type=int, default=[1, 4, 16])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=LENGTH, help="of a stream")
    parser.add_argument("--llama-server", help="path of a llama-server to compare with")
    options = parser.parse_args()
    rows = []
    for name, path in models(options.models).items():
        for streams in options.streams:
            asked = options.rounds, options.tokens, options.llama_server
            rows.append(measure(name, path, streams, *asked))
            print(rows[-1], file=sys.stderr)
    print(json.dumps({"benchmark": "throughput", "rows": rows}))


if __name__ == "__main__":
    main()
