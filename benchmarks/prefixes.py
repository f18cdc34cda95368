"""Many prompts with a common beginning, and the same number without: time to the first token.

    python -m benchmarks.prefixes [--clients 16 30] [--common 150 1000] [--llama-server PATH]

All come at once: sixteen with 150 words, and thirty with 1,000 where all but the last words are the
same. `unshared` prompts are as long and have nothing in common.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from functools import partial

from benchmarks.comparing import Measure, Measures, arguments, run
from benchmarks.servers import Target, all_at_once
from benchmarks.texts import Texts

TOKENS = 4


def together(target: Target, prompts: list[str]) -> Measures:
    """Median and worst wait of these prompts at once."""
    began = time.perf_counter()
    waits = [first - began for _, first, _ in all_at_once(target, prompts, TOKENS)]
    return {"median, s": statistics.median(waits), "last, s": max(waits)}


def shared(
    texts: Texts, clients: int, common: int, own: int, target: Target, number: int
) -> Measures:
    """The beginning is new in each round, and everybody's."""
    beginning = texts.prompt(common, number, clients)
    ends = [texts.prompt(own, number, who, "end") for who in range(clients)]
    return together(target, [beginning + end for end in ends])


def unshared(texts: Texts, clients: int, words: int, target: Target, number: int) -> Measures:
    """Everybody has a beginning of their own."""
    return together(target, [texts.prompt(words, number, who, "own") for who in range(clients)])


def main() -> None:
    parser = arguments(__doc__, rounds=2)
    parser.add_argument("--clients", type=int, nargs="+", default=[16, 30])
    parser.add_argument("--common", type=int, nargs="+", default=[150, 1000], help="words")
    parser.add_argument("--own", type=int, default=8, help="words at the end of each")
    parser.add_argument(
        "--unshared-below",
        type=int,
        default=500,
        metavar="WORDS",
        help="longer ones take minutes unshared",
    )
    options = parser.parse_args()

    def rows(texts: Texts) -> Iterator[tuple[str, Measure]]:
        for clients, common in zip(options.clients, options.common, strict=True):
            of = f"{clients} clients, {common} words"
            yield f"{of}, shared", partial(shared, texts, clients, common, options.own)
            if common < options.unshared_below:
                words = common + options.own
                yield f"{of}, unshared", partial(unshared, texts, clients, words)

    run("prefixes", options, rows, num_ctx=2048)


if __name__ == "__main__":
    main()
