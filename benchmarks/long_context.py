"""Tokens a second of many streams, each with a long context behind it.

python -m benchmarks.long_context [--streams 16] [--words 1000] [--tokens 24] [--llama-server PATH]

Every prompt is read once before, so that a server that keeps what it has read begins all streams at
the same time; one that does not reads prompts beside streams, and its figure says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks.comparing import Measure, Measures, arguments, run
from benchmarks.servers import Target, all_at_once, tokens_per_second
from benchmarks.texts import Texts


def decoding(
    texts: Texts, streams: int, words: int, count: int, target: Target, number: int
) -> Measures:
    """All streams, from the first chunk of one to the last of all."""
    prompts = [texts.prompt(words, number, who) for who in range(streams)]
    all_at_once(target, prompts, 1)
    return {"tokens/s": tokens_per_second(all_at_once(target, prompts, count))}


def main() -> None:
    parser = arguments(__doc__, rounds=1)
    parser.add_argument("--streams", type=int, default=16)
    parser.add_argument("--words", type=int, default=1000)
    parser.add_argument("--tokens", type=int, default=48)
    options = parser.parse_args()

    def rows(texts: Texts) -> Iterator[tuple[str, Measure]]:
        what = f"{options.streams} streams, {options.words} words each"
        yield what, partial(decoding, texts, options.streams, options.words, options.tokens)

    run("long_context", options, rows, streams=options.streams, num_ctx=2048)


if __name__ == "__main__":
    main()
