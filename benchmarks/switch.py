"""Another model's turn, where one is loaded at a time: how long until its first token.

    python -m benchmarks.switch [--models half-billion] [--llama-server PATH]

Ours unloads the bundled model and loads the other; llama-server has one model, so it is started
anew. `loaded` is the same request when nothing is to be loaded.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import httpx

from benchmarks.comparing import arguments, rounded
from benchmarks.models import models
from benchmarks.servers import Target, all_at_once, llama_server, ours
from benchmarks.texts import Texts, texts_for

SLOTS, WORDS = 4, 12
BUNDLED = {"model": "demo", "prompt": "Once", "raw": True, "options": {"num_predict": 1}}


def wait(target: Target, prompt: str) -> float:
    """Seconds until the first token."""
    began = time.perf_counter()
    ((_, first, _),) = all_at_once(target, [prompt], 2)
    return first - began


def switched(target: Target, texts: Texts, number: int) -> tuple[float, float]:
    """With the bundled model loaded, and then with this one."""
    httpx.post(f"{target.url}/api/generate", json=BUNDLED, timeout=600).raise_for_status()
    first = wait(target, texts.prompt(WORDS, number, "switched"))
    return first, wait(target, texts.prompt(WORDS, number, "again"))


def restarted(peer: str, path: Path, texts: Texts, number: int) -> float:
    """From the start of the process to the first token; one stream has been served by then."""
    began = time.perf_counter()
    with llama_server(peer, path, SLOTS) as target:
        wait(target, texts.prompt(WORDS, number))
        return time.perf_counter() - began


def measured(path: Path, texts: Texts, peer: str | None, rounds: int) -> dict[str, float]:
    """Medians in seconds."""
    found: dict[str, list[float]] = {
        "ours, s": [],
        "ours when loaded, s": [],
        "llama-server, s": [],
    }
    with ExitStack() as stack:
        target = stack.enter_context(ours(path, SLOTS, OLLAMA_MAX_LOADED_MODELS="1"))
        for number in range(rounds):
            first, again = switched(target, texts, number)
            found["ours, s"].append(first)
            found["ours when loaded, s"].append(again)
            if peer:
                found["llama-server, s"].append(restarted(peer, path, texts, number))
    return {name: rounded(statistics.median(times)) for name, times in found.items() if times}


def main() -> None:
    options = arguments(__doc__, rounds=5).parse_args()
    rows = []
    for model, path in models(options.models).items():
        told = measured(path, texts_for(model), options.llama_server, options.rounds)
        rows.append({"model": model, **told})
        print(rows[-1], file=sys.stderr)
    print(json.dumps({"benchmark": "switch", "rows": rows}))


if __name__ == "__main__":
    main()
