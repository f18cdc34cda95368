"""Answers that fit a schema: the price of a mask, rows a second, and what fast-forward gains.

    python -m benchmarks.structured [--llama-server PATH]

All on the random 0.5B model with its vocabulary of 151,936; rows on others too (--models). They go
through HTTP to ours and to llama-server in turn; fast-forward is compared within one engine.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import queue
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from ollama_nb_server.engine.core import ActiveRequests, EngineCore
from ollama_nb_server.engine.engine import Engine
from ollama_nb_server.engine.grammars.compiling import Compiler
from ollama_nb_server.engine.grammars.grammar import Compiled, Matcher
from ollama_nb_server.engine.messages import (
    Finished,
    Generate,
    Grammar,
    LoadSpec,
    SamplingParams,
    TextSegment,
)
from ollama_nb_server.engine.native import AbortSwitch, Batch, Context, NativeLog
from ollama_nb_server.engine.sampling.chain import SamplerChain

from benchmarks.models import MODELS, half_billion, models
from benchmarks.servers import Target, llama_server, ours

ROWS, AT_ONCE = 32, 16
FOUR_FIELDS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "product": {"type": "string", "maxLength": 12},
        "sentiment": {"enum": ["positive", "neutral", "negative"]},
        "stars": {"type": "integer", "minimum": 1, "maximum": 5},
        "recommended": {"type": "boolean"},
    },
    "required": ["product", "sentiment", "stars", "recommended"],
    "additionalProperties": False,
}
SCHEMAS: dict[str, dict[str, Any]] = {
    "four fields": FOUR_FIELDS,
    "any object": {"type": "object"},
    "list of four fields": {"type": "array", "items": FOUR_FIELDS, "minItems": 3, "maxItems": 5},
    "enum of 1,000": {"enum": [f"value {n} of {n * 7919}" for n in range(1000)]},
    "pattern": {"type": "string", "pattern": "^[A-Z]{2}[0-9]{4}-[a-z]{3,8}$"},
    "date-time": {"type": "string", "format": "date-time"},
}


def prompt(row: int) -> str:
    return f"Review number {row}: " + "abcd efgh ijkl mnop " * 4


# --- masks ----------------------------------------------------------------------------------------


def masks(context: Context, answers: int) -> list[dict[str, object]]:
    """Milliseconds a token, of answers drawn from random logits."""
    batch = Batch(1)
    batch.fill([(0, 0, [0], True)])
    context.decode(batch)  # so that there is a row of logits
    began = time.perf_counter()
    compiler = Compiler(context.model)
    rows: list[dict[str, object]] = [
        {"what": "table of tokens, once a model", "ms": round(1e3 * (time.perf_counter() - began))}
    ]
    chance = np.random.default_rng(1)
    for name, schema in SCHEMAS.items():
        began = time.perf_counter()
        compiled = Compiled(compiler.compile(Grammar("json_schema", json.dumps(schema))))
        ready = time.perf_counter() - began
        mask, draw = [], []
        for seed in range(answers):
            for spent in random_answer(context, compiled.answer(), seed, chance):
                mask.append(spent[0])
                draw.append(spent[1])
        rows.append(
            {
                "schema": name,
                "compiled_ms": round(1e3 * ready, 1),
                "tokens": len(mask),
                "mask_ms": figures(mask),
                "draw_ms": figures(draw),
            }
        )
    return rows


def random_answer(
    context: Context, matcher: Matcher, seed: int, chance: np.random.Generator
) -> Iterator[tuple[float, float]]:
    """Seconds of the processor for the mask, and for mask and draw; at most 60 tokens."""
    sampler = SamplerChain(context.model, SamplingParams(seed=seed), 1024)
    logits = context.logits(0)
    for _ in range(60):
        logits[:] = chance.standard_normal(len(logits), np.float32)
        began = time.thread_time()
        matcher.compute_mask()
        masked = time.thread_time()
        token = matcher.draw(sampler, context, 0)
        drawn = time.thread_time()
        yield masked - began, drawn - masked
        for forced in matcher.forced():
            matcher.take(forced)
        if matcher.complete or context.model.is_end(token):
            break
    sampler.close()


def figures(seconds: list[float]) -> dict[str, float]:
    """Mean, median, 95th and 100th percentile in milliseconds."""
    ms = 1e3 * np.array(seconds)
    mean = {"mean": round(float(ms.mean()), 4)}
    return mean | {f"p{p}": round(float(np.percentile(ms, p)), 4) for p in (50, 95, 100)}


# --- rows a second --------------------------------------------------------------------------------


async def row(
    client: httpx.AsyncClient, target: Target, number: int, at_once: asyncio.Semaphore
) -> int:
    """Tokens of one row, which must fit the schema. Ours without a seed: it has its price."""
    chain = {"temperature": 0.8, "top_k": 40, "top_p": 0.9}
    if target.ollama:
        options = {**chain, "num_predict": 200, "num_ctx": 1024}
        body = {"model": "bench", "prompt": prompt(number), "raw": True, "stream": False}
        path, body = "/api/generate", {**body, "format": FOUR_FIELDS, "options": options}
    else:
        body = {"prompt": prompt(number), "n_predict": 200, "json_schema": FOUR_FIELDS, **chain}
        body["seed"] = number
        path, body = "/completion", {**body, "cache_prompt": False, "min_p": 0}
    async with at_once:
        answer = await client.post(target.url + path, json=body)
    answer.raise_for_status()
    told = answer.json()
    made = json.loads(told["response" if target.ollama else "content"])
    assert list(made) == FOUR_FIELDS["required"]
    return int(told["eval_count" if target.ollama else "tokens_predicted"])


def rows_per_second(target: Target, rows: int, at_once: int) -> tuple[float, float]:
    """Rows a second, and tokens a row."""

    async def run() -> list[int]:
        gate = asyncio.Semaphore(at_once)
        async with httpx.AsyncClient(timeout=600, trust_env=False) as client:
            return await asyncio.gather(*(row(client, target, n, gate) for n in range(rows)))

    began = time.perf_counter()
    tokens = asyncio.run(run())
    return rows / (time.perf_counter() - began), statistics.mean(tokens)


def servers(path: Path, peer: str | None, rounds: int) -> dict[str, object]:
    rates: dict[str, list[float]] = {"ours": [], "llama-server": []}
    tokens: dict[str, float] = {}
    with ExitStack() as stack:
        targets = {"ours": stack.enter_context(ours(path, AT_ONCE))}
        if peer:
            other = llama_server(peer, path, AT_ONCE)
            targets["llama-server"] = stack.enter_context(other)
        for _ in range(rounds):
            for who, target in targets.items():
                rate, tokens[who] = rows_per_second(target, ROWS, AT_ONCE)
                rates[who].append(rate)
                print(who, round(rate, 3), tokens[who], file=sys.stderr)
    medians = {who: statistics.median(rate) for who, rate in rates.items() if rate}
    told: dict[str, object] = {f"{who}, rows/s": round(r, 3) for who, r in medians.items()}
    told |= {f"{who}, tokens a row": round(count, 1) for who, count in tokens.items()}
    if peer:
        ratios = [a / b for a, b in zip(rates["ours"], rates["llama-server"], strict=True)]
        told["ours/llama-server"] = round(statistics.median(ratios), 2)
    return told


# --- fast-forward ---------------------------------------------------------------------------------


def fast_forward(rounds: int, threads: int) -> dict[str, object]:
    """Rows a second of one engine in this process, with fast-forward and without."""
    told: dict[str, object] = {}
    with engine(AT_ONCE, threads) as loaded:
        asking = Asking(loaded)
        asking.rows(2, AT_ONCE, forward=True)
        for rows, at_once in ((8, 1), (AT_ONCE, AT_ONCE)):
            rates: dict[bool, list[float]] = {True: [], False: []}
            for _ in range(rounds):
                for forward in rates:
                    rates[forward].append(asking.rows(rows, at_once, forward=forward))
            ratio = statistics.median(a / b for a, b in zip(rates[True], rates[False], strict=True))
            told[f"{at_once} at once, rows/s"] = {
                "with": round(statistics.median(rates[True]), 3),
                "without": round(statistics.median(rates[False]), 3),
                "ratio": round(ratio, 2),
            }
            print(told, file=sys.stderr)
    return told


class Asking:
    """A loop on a thread of this process, asked for rows."""

    def __init__(self, loaded: Engine) -> None:
        self._inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[Finished] = queue.SimpleQueue()
        self._ids = itertools.count(1)
        loop = EngineCore(loaded, self._inbox, ActiveRequests(AbortSwitch()), self._told)
        threading.Thread(target=loop.run, daemon=True).start()

    def _told(self, *messages: object) -> None:
        for message in messages:
            if isinstance(message, Finished):
                self._done.put(message)

    def rows(self, count: int, at_once: int, *, forward: bool) -> float:
        """Rows a second."""
        grammar = Grammar("json_schema", json.dumps(FOUR_FIELDS))
        forced = Matcher.forced
        if not forward:
            Matcher.forced = lambda self: []  # type: ignore[method-assign]
        began = time.perf_counter()
        for first in range(0, count, at_once):
            for number in range(first, first + at_once):
                sampling = SamplingParams(seed=number)
                said = (TextSegment(prompt(number)),)
                self._inbox.put(Generate(next(self._ids), said, sampling, 200, grammar=grammar))
            for _ in range(at_once):
                self._done.get()
        took = time.perf_counter() - began
        Matcher.forced = forced  # type: ignore[method-assign]
        return count / took


@contextmanager
def engine(streams: int, threads: int = 0) -> Iterator[Engine]:
    """The random model, loaded in this process."""
    sizes = {"num_ctx": 1024, "num_parallel": streams, "num_thread": threads}
    spec = LoadSpec(str(half_billion()), **sizes)
    with Engine(spec, NativeLog(), AbortSwitch()) as loaded:
        loaded.grammars.begin()
        yield loaded


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--llama-server", help="path of a llama-server to compare with")
    parser.add_argument("--models", nargs="+", default=["half-billion"], help=MODELS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=0, help="for fast-forward; 0: all")
    parser.add_argument("--parts", nargs="+", default=["masks", "fast-forward", "rows"])
    options = parser.parse_args()
    told: dict[str, object] = {"benchmark": "structured"}
    if "masks" in options.parts:
        with engine(1) as loaded:
            assert loaded.context is not None
            told["masks"] = masks(loaded.context, answers=20)
        print(json.dumps(told, indent=1), file=sys.stderr)
    if "fast-forward" in options.parts:
        told["fast-forward"] = fast_forward(options.rounds, options.threads)
    if "rows" in options.parts:
        told["rows"] = [
            {"model": name, **servers(path, options.llama_server, options.rounds)}
            for name, path in models(options.models).items()
        ]
    print(json.dumps(told))


if __name__ == "__main__":
    main()
