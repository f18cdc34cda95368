"""Many clients on few slots: tokens a second, and how long one waits for its first token.

python -m benchmarks.clients [--clients 64] [--tokens 32] [--llama-server PATH]

Each client asks one short thing; all come at once, and most of them wait for a slot.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from functools import partial

from benchmarks.comparing import Measure, Measures, arguments, run
from benchmarks.servers import Target, all_at_once
from benchmarks.texts import Texts

WORDS = 12


def crowd(texts: Texts, clients: int, tokens: int, target: Target, number: int) -> Measures:
    """All clients at once."""
    prompts = [texts.prompt(WORDS, number, who) for who in range(clients)]
    began = time.perf_counter()
    done = all_at_once(target, prompts, tokens)
    waits = sorted(first - began for _, first, _ in done)
    return {
        "tokens/s": sum(n for n, *_ in done) / (max(last for *_, last in done) - began),
        "median first token, s": statistics.median(waits),
        "last first token, s": waits[-1],
    }


def main() -> None:
    parser = arguments(__doc__, rounds=3)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--slots", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=32)
    options = parser.parse_args()

    def rows(texts: Texts) -> Iterator[tuple[str, Measure]]:
        what = f"{options.clients} clients, {options.slots} slots"
        yield what, partial(crowd, texts, options.clients, options.tokens)

    run("clients", options, rows, streams=options.slots)


if __name__ == "__main__":
    main()
