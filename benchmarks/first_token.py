"""One client with a long prompt: how long until the first token, and so how fast a prompt is read.

python -m benchmarks.first_token [--words 150 1000] [--llama-server PATH]
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks.comparing import Measure, Measures, arguments, run
from benchmarks.prefixes import unshared
from benchmarks.servers import Target
from benchmarks.texts import Texts


def alone(texts: Texts, words: int, target: Target, number: int) -> Measures:
    """A prompt of so many words that was never asked before."""
    waited = unshared(texts, 1, words, target, number)["median, s"]
    return {"first token, s": waited, "words/s": words / waited}


def main() -> None:
    parser = arguments(__doc__, rounds=3)
    parser.add_argument("--words", type=int, nargs="+", default=[150, 1000])
    options = parser.parse_args()

    def rows(texts: Texts) -> Iterator[tuple[str, Measure]]:
        for words in options.words:
            yield f"{words} words", partial(alone, texts, words)

    run("first_token", options, rows, num_ctx=4096)


if __name__ == "__main__":
    main()
