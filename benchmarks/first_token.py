"""Time to the first token: one client, then sixteen at once, each with a prompt of 150 words.

python -m benchmarks.first_token [--model half-billion] [--llama-server PATH]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import time
from contextlib import ExitStack

import httpx

from benchmarks.models import models
from benchmarks.servers import Target, llama_server, ours, tokens

WORDS = ("abcd", "efgh", "ijkl", "mnop", "qrst", "uvwx", "once", "time")


def prompt_of(seed: int, words: int) -> str:
    return " ".join(WORDS[(seed * 7 + i * i) % len(WORDS)] for i in range(words))


def waits(target: Target, clients: int, words: int) -> list[float]:
    """Seconds until each client's first chunk."""

    async def one(client: httpx.AsyncClient, seed: int) -> float:
        began = time.perf_counter()
        came = [at async for at in tokens(client, target, prompt_of(seed, words), 4, seed)]
        return came[0] - began

    async def run() -> list[float]:
        async with httpx.AsyncClient(timeout=600, trust_env=False) as client:
            return list(await asyncio.gather(*(one(client, seed) for seed in range(clients))))

    return asyncio.run(run())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="half-billion", choices=["demo", "half-billion"])
    parser.add_argument("--words", type=int, default=150)
    parser.add_argument("--llama-server")
    options = parser.parse_args()
    (path,) = models([options.model]).values()
    rows = []
    with ExitStack() as stack:
        targets = {"ours": stack.enter_context(ours(path, 16))}
        if options.llama_server:
            targets["llama-server"] = stack.enter_context(
                llama_server(options.llama_server, path, 16)
            )
        for clients in (1, 16):
            for who, target in targets.items():
                seconds = [w for _ in range(3) for w in waits(target, clients, options.words)]
                row = {
                    "server": who,
                    "clients": clients,
                    "median_s": round(statistics.median(seconds), 3),
                }
                rows.append(row | {"max_s": round(max(seconds), 3)})
                print(rows[-1], file=sys.stderr)
    print(json.dumps({"benchmark": "first_token", "model": options.model, "rows": rows}))


if __name__ == "__main__":
    main()
