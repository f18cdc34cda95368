"""Streams beside clients that read nothing of theirs, against the same beside ones that do.

    python -m benchmarks.slow_readers [--streams 8] [--tokens 48] [--llama-server PATH]

Who reads nothing asks for many probabilities, so that what waits for them fills every buffer.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from urllib.parse import urlsplit

from benchmarks.comparing import Measure, Measures, arguments, run
from benchmarks.servers import Target, all_at_once, counted, open_client, tokens_per_second
from benchmarks.texts import Texts

SMALL = 4096  # bytes that the client's system takes for a socket that nobody reads
WORDS, SLOW_TOKENS = 12, 400


def unread(target: Target, prompt: str) -> socket.socket:
    """A connection on which an answer has begun that nobody reads."""
    path, body = target.request(prompt, SLOW_TOKENS, 1)
    body |= {"logprobs": True, "top_logprobs": 20} if target.ollama else {"n_probs": 20}
    place = urlsplit(target.url)
    assert place.hostname is not None
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
    connection.connect((place.hostname, place.port))
    document = json.dumps(body).encode()
    head = f"POST {place.path}{path} HTTP/1.1\r\nHost: {place.netloc}\r\n"
    more = f"Content-Type: application/json\r\nContent-Length: {len(document)}\r\n\r\n"
    connection.sendall((head + more).encode() + document)
    connection.recv(1)
    return connection


def beside(
    texts: Texts, streams: int, tokens: int, reads: bool, target: Target, number: int
) -> Measures:
    """As many streams as others, which read or do not."""
    prompts = [texts.prompt(WORDS, number, who, reads) for who in range(2 * streams)]
    measured, others = prompts[:streams], prompts[streams:]
    if reads:
        return {"tokens/s": _beside_readers(target, measured, others, tokens)}
    with ExitStack() as stack:
        for prompt in others:
            stack.enter_context(unread(target, prompt))
        return {"tokens/s": tokens_per_second(all_at_once(target, measured, tokens))}


def _beside_readers(target: Target, measured: list[str], others: list[str], tokens: int) -> float:
    async def asked() -> float:
        async with open_client() as client:
            reading = [
                asyncio.create_task(counted(client, target, text, SLOW_TOKENS, 1))
                for text in others
            ]
            done = await asyncio.gather(
                *(counted(client, target, text, tokens, n) for n, text in enumerate(measured))
            )
            for task in reading:
                task.cancel()
            await asyncio.gather(*reading, return_exceptions=True)
            return tokens_per_second(done)

    return asyncio.run(asked())


def main() -> None:
    parser = arguments(__doc__, rounds=3)
    parser.add_argument("--streams", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=48)
    options = parser.parse_args()

    def rows(texts: Texts) -> Iterator[tuple[str, Measure]]:
        for reads in (True, False):
            others = "that read" if reads else "that read nothing"
            what = f"{options.streams} beside {options.streams} {others}"
            yield what, partial(beside, texts, options.streams, options.tokens, reads)

    run("slow_readers", options, rows, streams=2 * options.streams)


if __name__ == "__main__":
    main()
