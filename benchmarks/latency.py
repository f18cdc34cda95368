"""How fast the Jupyter server answers GET api/status while sixteen streams run through it.

python -m benchmarks.latency [--models demo half-billion]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time

import httpx

from benchmarks.models import models
from benchmarks.servers import Target, ours_in_jupyter, tokens

PROBE_S, LASTS_S = 0.1, 12.0


async def probe(target: Target, streams: int) -> list[float]:
    """Milliseconds of each probe while the streams run."""
    took: list[float] = []
    limits = httpx.Limits(max_connections=64)
    async with httpx.AsyncClient(timeout=600, trust_env=False, limits=limits) as client:

        async def endless(seed: int) -> None:
            while True:
                async for _ in tokens(client, target, "Once upon a time", 600, seed):
                    pass

        running = [asyncio.create_task(endless(seed)) for seed in range(streams)]
        await asyncio.sleep(1)
        began = time.perf_counter()
        while time.perf_counter() - began < LASTS_S:
            sent = time.perf_counter()
            (
                await client.get(f"{target.url}/api/status", headers=target.headers)
            ).raise_for_status()
            took.append(1000 * (time.perf_counter() - sent))
            await asyncio.sleep(PROBE_S)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    return sorted(took)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["demo", "half-billion"])
    options = parser.parse_args()
    rows = []
    for name, path in models(options.models).items():
        with ours_in_jupyter(path, 16) as target:
            took = asyncio.run(probe(target, 16))
        at = {"p50_ms": 0.5, "p95_ms": 0.95, "max_ms": 1.0}
        row = {"model": name, "probes": len(took)}
        row |= {
            key: round(took[min(int(q * len(took)), len(took) - 1)], 1) for key, q in at.items()
        }
        rows.append(row)
        print(row, file=sys.stderr)
    print(json.dumps({"benchmark": "latency", "rows": rows}))


if __name__ == "__main__":
    main()
