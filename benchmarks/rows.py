"""64 rows asked by `df.llm.generate()`, against a loop of `generate()` and the bare server's best.

    python -m benchmarks.rows [--models half-billion] [--rows 64] [--words 200] [--tokens 48]

All prompts begin with the same 200 words, as the rows of one template do. Three ways in turn, round
after round: one call after another; `df.llm.generate()`; and the same requests sent by bare tasks,
all at once, which is what the server's batching allows. Nothing comes from the
cache of answers, and no request has a seed, which would make answers independent of one another and
slower: docs/reproducibility.md.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pandas as pd

import ollama_nb
import ollama_nb.frames
from benchmarks.embedding import VOCABULARY
from benchmarks.models import MODELS, models
from benchmarks.servers import free_port, prepared_store, process, wait_for

MODEL = "bench"
Way = Callable[[pd.DataFrame, str, dict[str, object]], int]


def rows(number: int) -> pd.DataFrame:
    """Different ends of prompts, of five words each."""
    rng, words = random.Random(2), " ".join(VOCABULARY).split()
    return pd.DataFrame({"end": [" ".join(rng.choices(words, k=5)) for _ in range(number)]})


def beginning(num_words: int) -> str:
    rng, words = random.Random(3), " ".join(VOCABULARY).split()
    return " ".join(rng.choices(words, k=num_words))


def loop(frame: pd.DataFrame, begin: str, options: dict[str, object]) -> int:
    """One call after another; the tokens of all answers."""
    answers = [
        ollama_nb.generate(f"{begin} {end}", model=MODEL, options=options) for end in frame["end"]
    ]
    return sum(answer.stats.answer_tokens or 0 for answer in answers)


def many(frame: pd.DataFrame, begin: str, options: dict[str, object]) -> int:
    """What a user writes."""
    answers = frame.llm.generate(
        begin + " {{ end }}", model=MODEL, options=options, details=True, fresh=True, progress=False
    )
    return int(answers["_tokens"].sum())


def bare(frame: pd.DataFrame, begin: str, options: dict[str, object]) -> int:
    """Tasks that post, and read nothing but the count."""
    return asyncio.run(_posted([f"{begin} {end}" for end in frame["end"]], options))


async def _posted(prompts: list[str], options: dict[str, object]) -> int:
    url = ollama_nb.connect(os.environ["OLLAMA_HOST"]).url
    async with httpx.AsyncClient(base_url=url, timeout=None, trust_env=False) as client:

        async def one(prompt: str) -> int:
            body = {"model": MODEL, "prompt": prompt, "options": options, "stream": False}
            answer = await client.post("/api/generate", json=body)
            return int(answer.raise_for_status().json()["eval_count"])

        return sum(await asyncio.gather(*map(one, prompts)))


WAYS: dict[str, Way] = {"loop": loop, "generate": many, "bare": bare}


def measure(frame: pd.DataFrame, begin: str, num_tokens: int, rounds: int) -> dict[str, object]:
    """Rows a second of each way: medians, and the medians of the ratios of each round."""
    rates: dict[str, list[float]] = {name: [] for name in WAYS}
    for way in WAYS.values():
        way(frame.head(2), begin, {"num_predict": 2})
    for number in range(rounds):
        for name, way in WAYS.items():
            options: dict[str, object] = {"num_predict": num_tokens, "temperature": 0.8}
            began = time.perf_counter()
            num_answered = way(frame, begin, options)
            rates[name].append(len(frame) / (time.perf_counter() - began))
            print(f"{number} {name}: {num_answered} tokens", file=sys.stderr)
    row: dict[str, object] = {
        f"{name}_rows_per_s": round(statistics.median(values), 3) for name, values in rates.items()
    }
    for other in ("loop", "bare"):
        ratios = [ours / its for ours, its in zip(rates["generate"], rates[other], strict=True)]
        row[f"generate/{other}"] = round(statistics.median(ratios), 3)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["half-billion"], help=MODELS)
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--words", type=int, default=200)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    found = [
        {"model": name, **served(path, options)} for name, path in models(options.models).items()
    ]
    print(json.dumps({"benchmark": "rows", "rows": found}))


def served(path: Path, options: argparse.Namespace) -> dict[str, object]:
    """The row of one model, on a server of its own."""
    with TemporaryDirectory() as name:
        folder, port = Path(name), free_port()
        prepared_store(folder / "models", path)
        url = f"http://127.0.0.1:{port}"
        os.environ |= {"OLLAMA_HOST": url, "OLLAMA_NB_CACHE": str(folder / "cache")}
        command = [sys.executable, "-m", "ollama_nb_server", "serve", "--port", str(port)]
        with process(command, folder, OLLAMA_MODELS=str(folder / "models")) as running:
            wait_for(url, {}, running)
            ollama_nb.connect(url)
            frame, begin = rows(options.rows), beginning(options.words)
            return measure(frame, begin, options.tokens, options.rounds)


if __name__ == "__main__":
    main()
