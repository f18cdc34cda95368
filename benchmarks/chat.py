"""A chat of eight turns: how long each waits for its first token, the whole past in its prompt.

python -m benchmarks.chat [--turns 8] [--words 240] [--llama-server PATH]

A turn is the past, its answer as the server gave it, and new words: at the eighth about 2,000
tokens. Both servers may keep what they have read.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from functools import partial

import httpx

from benchmarks.comparing import Measure, Measures, arguments, run
from benchmarks.servers import Target, chunks, open_client
from benchmarks.texts import Texts

ANSWER = 12  # tokens


async def turn(client: httpx.AsyncClient, target: Target, past: str) -> tuple[float, str]:
    """Seconds until the first token, and the answer."""
    path, body = target.request(past, ANSWER, 1)
    first, answer, began = 0.0, "", time.perf_counter()
    async with client.stream("POST", target.url + path, json=body) as said:
        said.raise_for_status()
        async for came, chunk in chunks(said):
            first = first or came - began
            answer += chunk["response" if target.ollama else "content"]
    return first, answer


def chat(texts: Texts, turns: int, words: int, target: Target, number: int) -> Measures:
    """One chat from its beginning."""

    async def asked() -> list[float]:
        past, waits = "", []
        async with open_client() as client:
            for at in range(turns):
                past += texts.prompt(words, number, at)
                wait, answer = await turn(client, target, past)
                waits.append(wait)
                past += answer
        return waits

    return {f"turn {at}, s": wait for at, wait in enumerate(asyncio.run(asked()), 1)}


def main() -> None:
    parser = arguments(__doc__, rounds=3)
    parser.add_argument("--turns", type=int, default=8)
    parser.add_argument("--words", type=int, default=240, help="new ones in each turn")
    options = parser.parse_args()

    def rows(texts: Texts) -> Iterator[tuple[str, Measure]]:
        yield "time to first token", partial(chat, texts, options.turns, options.words)

    run("chat", options, rows, streams=1, num_ctx=4096)


if __name__ == "__main__":
    main()
