"""A long prompt comes beside short streams: how long these stand still, and how long it waits.

python -m benchmarks.long_prompts [--streams 8] [--words 2000] [--llama-server PATH]

The gap is the longest between two tokens of one of the streams, from the moment the prompt comes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from functools import partial
from itertools import pairwise

import httpx

from benchmarks.comparing import Measure, Measures, arguments, run
from benchmarks.servers import Target, open_client, tokens
from benchmarks.texts import Texts

ENDLESS = 1500  # tokens; the streams are cut off when the long prompt's answer has begun


class Stream:
    """One short prompt's stream, and when its tokens came."""

    def __init__(self, client: httpx.AsyncClient, target: Target, prompt: str, seed: int) -> None:
        self.came: list[float] = []
        self._begun = asyncio.Event()
        self.task = asyncio.create_task(self._read(client, target, prompt, seed))

    async def _read(
        self, client: httpx.AsyncClient, target: Target, prompt: str, seed: int
    ) -> None:
        while True:  # a random model may end at once
            async for at in tokens(client, target, prompt, ENDLESS, seed):
                self.came.append(at)
                self._begun.set()

    async def begun(self) -> None:
        await self._begun.wait()

    def longest_gap(self, since: float, until: float) -> float:
        """Seconds between two tokens around this span of time."""
        inside = [max(since, at) for at in self.came if at <= until]
        return max(b - a for a, b in pairwise([*inside, until]))


def beside(texts: Texts, streams: int, words: int, target: Target, number: int) -> Measures:
    """The streams run, then the prompt comes."""

    async def asked() -> tuple[float, float]:
        async with open_client() as client:
            running = [
                Stream(client, target, texts.prompt(12, number, who), who) for who in range(streams)
            ]
            await asyncio.gather(*(stream.begun() for stream in running))
            began = time.perf_counter()
            long = texts.prompt(words, number, "long")
            first = await anext(tokens(client, target, long, 4, 1))
            for stream in running:
                stream.task.cancel()
            await asyncio.gather(*(stream.task for stream in running), return_exceptions=True)
            return max(stream.longest_gap(began, first) for stream in running), first - began

    gap, wait = asyncio.run(asked())
    return {"longest gap, s": gap, "its first token, s": wait}


def main() -> None:
    parser = arguments(__doc__, rounds=3)
    parser.add_argument("--streams", type=int, default=8)
    parser.add_argument("--words", type=int, default=2000)
    options = parser.parse_args()

    def rows(texts: Texts) -> Iterator[tuple[str, Measure]]:
        what = f"{options.streams} streams, then {options.words} words"
        yield what, partial(beside, texts, options.streams, options.words)

    run("long_prompts", options, rows, num_ctx=4096)


if __name__ == "__main__":
    main()
