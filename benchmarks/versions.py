"""This checkout against another one (an older commit in a worktree), in turn, round after round.

    python -m benchmarks.versions OTHER [--rounds 5] [--tokens 48] [--rows streams prompts ...]

Both servers run the whole time, one of them at work. A row is what was measured of each, and the
median of the rounds' own ratios, this one's against the other's (above 1: this one does better).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from benchmarks.busy import computing
from benchmarks.models import models
from benchmarks.servers import Target, chunks, ours

STREAMS = (1, 4, 16)
PROMPT = "abcd efgh ijkl mnop"
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 8}, "size": {"enum": [1, 2, 3]}},
    "required": ["name", "size"],
}
WORDS = ("abcd", "efgh", "ijkl", "mnop", "qrst", "uvwx", "once", "time")
Measure = Callable[[Target], float]


def prompt_of(seed: int, words: int) -> str:
    return " ".join(WORDS[(seed * 7 + i * i) % len(WORDS)] for i in range(words))


async def answered(
    client: httpx.AsyncClient, target: Target, body: dict[str, Any]
) -> tuple[int, float, float]:
    """Tokens of one streamed answer, and when its first and its last chunk came."""
    number, first, last = 0, 0.0, 0.0
    body = {"model": "bench", "raw": True, **body}
    async with client.stream("POST", f"{target.url}/api/generate", json=body) as answer:
        answer.raise_for_status()
        async for last, chunk in chunks(answer):
            first = first or last
            number = chunk.get("eval_count", number)
    return number, first, last


def at_once(target: Target, bodies: list[dict[str, Any]]) -> list[tuple[int, float, float]]:
    """All of these requests at the same time."""

    async def run() -> list[tuple[int, float, float]]:
        limits = httpx.Limits(max_connections=64)
        async with httpx.AsyncClient(timeout=600, trust_env=False, limits=limits) as client:
            return list(await asyncio.gather(*(answered(client, target, b) for b in bodies)))

    return asyncio.run(run())


@dataclass(frozen=True)
class Streams:
    """Tokens a second; `promise` is what of an equal answer the requests are given."""

    number: int
    promise: str
    count: int = 48

    def __call__(self, target: Target) -> float:
        told = at_once(target, [self._body(n) for n in range(self.number)])
        began, ended = min(first for _, first, _ in told), max(last for *_, last in told)
        return sum(number - 1 for number, *_ in told) / (ended - began)

    def _body(self, number: int) -> dict[str, Any]:
        more = {"none": {}, "seed": {"seed": number}, "greedy": {"temperature": 0}}[self.promise]
        return {
            "prompt": f"{PROMPT} {number}",
            "options": {"num_predict": self.count, "num_ctx": 1024, **more},
        }


def waits(target: Target) -> float:
    """One by the median seconds until the first token, 16 prompts of 150 words at once."""
    began = time.perf_counter()
    options = {"num_predict": 4, "num_ctx": 1024}
    bodies = [{"prompt": prompt_of(n, 150), "options": options} for n in range(16)]
    return 1 / statistics.median(first - began for _, first, _ in at_once(target, bodies))


def rows(target: Target) -> float:
    """Rows of a schema a second, 16 at once."""
    options = {"num_predict": 60, "num_ctx": 1024}
    bodies = [{"prompt": f"{PROMPT} {n}", "format": SCHEMA, "options": options} for n in range(16)]
    began = time.perf_counter()
    at_once(target, bodies)
    return 16 / (time.perf_counter() - began)


def embeddings(target: Target) -> float:
    """Texts a second, 64 of 20 words in one request."""
    body = {"model": "bench", "input": [prompt_of(n, 20) for n in range(64)]}
    began = time.perf_counter()
    httpx.post(
        f"{target.url}/api/embed", json=body, timeout=600, trust_env=False
    ).raise_for_status()
    return 64 / (time.perf_counter() - began)


def beside_a_busy_process(target: Target) -> float:
    """Tokens a second of one stream beside a process that computes."""
    with computing(1):
        return Streams(1, "none", 24)(target)


def measures(kinds: list[str], count: int) -> Iterator[tuple[str, Measure]]:
    """What is measured, by name; `count` tokens a stream."""
    if "streams" in kinds:
        for promise in ("none", "seed", "greedy"):
            for number in STREAMS:
                yield f"{number} streams, {promise}", Streams(number, promise, count)
    others = {"prompts": waits, "rows": rows, "embeddings": embeddings}
    yield from ((name, others[name]) for name in kinds if name in others)
    if "busy" in kinds:
        yield "beside a busy process", beside_a_busy_process


def compared(measure: Measure, this: Target, other: Target, rounds: int) -> dict[str, float]:
    """Medians of both and of their ratios."""
    mine, theirs = [], []
    for _ in range(rounds):
        mine.append(measure(this))
        theirs.append(measure(other))
    ratios = [a / b for a, b in zip(mine, theirs, strict=True)]
    named = {"this": mine, "other": theirs, "ratio": ratios}
    return {name: round(statistics.median(values), 3) for name, values in named.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("other", type=Path, help="the other checkout")
    parser.add_argument("--models", nargs="+", default=["half-billion", "demo"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=48, help="of a stream")
    kinds = ["streams", "prompts", "rows", "embeddings", "busy"]
    parser.add_argument("--rows", nargs="+", default=kinds, choices=kinds)
    options = parser.parse_args()
    found = []
    here, there = Path(__file__).parents[1], options.other.resolve()
    for name, path in models(options.models).items():
        with ExitStack() as stack:
            this, other = (
                stack.enter_context(ours(path, 16, PYTHONPATH=f"{root}:{root / 'server_ext'}"))
                for root in (here, there)
            )
            for what, measure in measures(options.rows, options.tokens):
                row = compared(measure, this, other, options.rounds)
                found.append({"model": name, "what": what, **row})
                print(found[-1], file=sys.stderr)
    print(json.dumps({"benchmark": "versions", "rows": found}))


if __name__ == "__main__":
    main()
