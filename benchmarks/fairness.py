"""Two people at one server, and one of them floods it: what the other waits, what it costs.

    python -m benchmarks.fairness [--models half-billion qwen-coder.gguf] [--rows 96]

`in turn`: both send single requests one after the other. `fifo`: the flood's rows come all at once,
to a server where nobody has a name. `fair`: the same where both have one. The other person goes on
sending single requests; seconds are medians until their first token, tokens/s those of both.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from ollama_nb_server.sharing.tokens import TokenFile

from benchmarks.machine import machine
from benchmarks.models import MODELS, models
from benchmarks.servers import Target, counted, open_client, ours

SLOTS = 16
ROW = "Write a short text about the number {n}, a house and the sea, and say why it matters:"
QUESTION = "What is the name of the {n}th month, and how many days has it got? Answer briefly:"
IN_TURN_S = 15.0


@dataclass
class Person:
    """Who asks, and what they had: tokens, and seconds until each first token."""

    target: Target
    num_tokens: int = 0
    waits_s: list[float] = field(default_factory=list)

    async def ask(self, prompt: str, count: int, seed: int) -> None:
        async with open_client() as client:
            began_s = time.perf_counter()
            number, first_s, _ = await counted(client, self.target, prompt, count, seed)
        self.num_tokens += number
        self.waits_s.append(first_s - began_s)

    async def ask_in_turn(self, prompt: str, count: int, done: asyncio.Event) -> None:
        """Single requests, one after the other, until it is over."""
        while not done.is_set():
            number = len(self.waits_s)
            await self.ask(prompt.format(n=number), count, number)


@contextmanager
def people(model: Path, *, named: bool) -> Iterator[tuple[Target, Target]]:
    """A server with the model loaded, as the two of them see it."""
    with TemporaryDirectory() as folder:
        if not named:
            with ours(model, SLOTS) as target:
                yield target, target
            return
        file = TokenFile(Path(folder) / "tokens.json")
        headers = [
            {"Authorization": f"Bearer {file.add(name, is_admin=True)}"} for name in ("ana", "ben")
        ]
        with ours(model, SLOTS, headers=headers[0], OLLAMA_NB_TOKENS=str(file.path)) as target:
            ana, ben = (replace(target, headers=each) for each in headers)
            yield ana, ben


async def in_turn(ana: Target, ben: Target, count: int) -> float:
    """Seconds until Ben's first token, while both send single requests."""
    done, (one, other) = asyncio.Event(), (Person(ana), Person(ben))
    asyncio.get_running_loop().call_later(IN_TURN_S, done.set)
    await asyncio.gather(
        one.ask_in_turn(ROW, count, done), other.ask_in_turn(QUESTION, count, done)
    )
    return statistics.median(other.waits_s)


async def flooded(ana: Target, ben: Target, rows: int, count: int) -> tuple[float, float]:
    """Seconds until Ben's first token beside Ana's rows, and tokens/s of both together."""
    done, (one, other) = asyncio.Event(), (Person(ana), Person(ben))
    began_s = time.perf_counter()

    async def flood() -> None:
        await asyncio.gather(*(one.ask(ROW.format(n=n), count, n) for n in range(rows)))
        done.set()

    single = asyncio.create_task(other.ask_in_turn(QUESTION, count, done))
    await flood()
    num_tokens, took_s = one.num_tokens + other.num_tokens, time.perf_counter() - began_s
    await single
    return statistics.median(other.waits_s), num_tokens / took_s


def measure(name: str, path: Path, rounds: int, rows: int, count: int) -> dict[str, object]:
    """One model's row."""
    turns_s: list[float] = []
    waits_s: dict[bool, list[float]] = {False: [], True: []}
    rates: dict[bool, list[float]] = {False: [], True: []}
    with people(path, named=False) as nameless, people(path, named=True) as named:
        for both in (nameless, named):
            asyncio.run(flooded(*both, SLOTS + 1, 8))  # so that all slots are there
        for _ in range(rounds):
            turns_s.append(asyncio.run(in_turn(*named, count)))
            for is_fair, both in ((False, nameless), (True, named)):
                wait_s, rate = asyncio.run(flooded(*both, rows, count))
                waits_s[is_fair].append(wait_s)
                rates[is_fair].append(rate)
    turn_s, fifo_s, fair_s = map(statistics.median, (turns_s, waits_s[False], waits_s[True]))
    fifo_rate, fair_rate = map(statistics.median, (rates[False], rates[True]))
    ratios = [fair / fifo for fifo, fair in zip(rates[False], rates[True], strict=True)]
    return {
        "model": name,
        "rows": rows,
        "tokens": count,
        "in turn, s": round(turn_s, 3),
        "fifo, s": round(fifo_s, 3),
        "fair, s": round(fair_s, 3),
        "fair/in turn": round(fair_s / turn_s, 2),
        "fifo, tokens/s": round(fifo_rate, 1),
        "fair, tokens/s": round(fair_rate, 1),
        "fair/fifo": round(statistics.median(ratios), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["half-billion"], help=MODELS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=96, help="that are sent at once")
    parser.add_argument("--tokens", type=int, default=48, help="of an answer")
    options = parser.parse_args()
    rows = []
    for name, path in models(options.models).items():
        rows.append(measure(name, path, options.rounds, options.rows, options.tokens))
        print(rows[-1], file=sys.stderr)
    print(json.dumps({"benchmark": "fairness", "machine": machine(), "rows": rows}))


if __name__ == "__main__":
    main()
