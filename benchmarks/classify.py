"""200 rows labelled by `df.llm.classify()`, against bound answers, together and one by one.

    python -m benchmarks.classify --models PATH/qwen-coder.gguf [--rows 200] [--rounds 3]

Three ways in turn, round after round, with the same prompts and five labels: `classify`, which
scores; `df.llm.generate()` with an enum of the labels as its form, as many rows in flight; and a
loop of `generate()`. Nothing comes from the cache. Then the labels are scored as a bound answer
spells them, in quotes, and compared with what was answered: `same` of `sure` rows, whose best label
has a probability above 0.9.
"""

from __future__ import annotations

import argparse
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

import pandas as pd

import ollama_nb
import ollama_nb.frames
from benchmarks.models import MODELS, models
from benchmarks.servers import free_port, prepared_store, process, wait_for
from ollama_nb.asking.many_scores import IN_FLIGHT, PROMPTS_A_REQUEST
from ollama_nb.frames.labels import Labels

MODEL = "bench"
LABELS = ["food", "service", "price", "location", "noise"]
SURE = 0.9
SENTENCES = {
    "food": ["The soup was cold.", "I loved the pie.", "Their bread is dry.", "Great pasta!"],
    "service": ["The waiter was rude.", "Nobody came for an hour.", "Such friendly staff."],
    "price": ["Far too expensive.", "Cheap, for what one gets.", "The bill shocked us."],
    "location": ["It is hard to find.", "Right by the river.", "A long way from the station."],
    "noise": ["One cannot hear a word in there.", "The music was too loud.", "A calm place."],
}
Way = Callable[[pd.DataFrame], pd.Series]


def rows(number: int) -> pd.DataFrame:
    """Different short reviews, and the prompts that ask for their labels."""
    rng, labels = random.Random(4), Labels.of(LABELS, None, None, multi=False)
    days = rng.choices(["Monday", "Friday", "Sunday"], k=number)
    texts = [  # no row begins as another does: a loop would not have to read that again
        f"{people} of us came on a {day}. {rng.choice(SENTENCES[rng.choice(LABELS)])}"
        for people, day in enumerate(days, 2)
    ]
    return pd.DataFrame({"text": texts, "prompt": [labels.prompt(text) for text in texts]})


def classify(frame: pd.DataFrame) -> pd.Series:
    """What a user writes."""
    return frame["text"].llm.classify(LABELS, proba=False, model=MODEL, fresh=True, progress=False)


def generate(frame: pd.DataFrame) -> pd.Series:
    """Bound answers, as many rows in flight as `classify` has."""
    return frame.llm.generate(
        "{{ prompt }}",
        model=MODEL,
        format=_form(),
        temperature=0,
        fresh=True,
        progress=False,
        in_flight=IN_FLIGHT * PROMPTS_A_REQUEST,
    )["answer"]


def loop(frame: pd.DataFrame) -> pd.Series:
    """One bound answer after another."""
    answers = [
        ollama_nb.generate(prompt, model=MODEL, format=_form(), temperature=0).json
        for prompt in frame["prompt"]
    ]
    return pd.Series(answers, index=frame.index)


def _form() -> dict[str, object]:
    return {"type": "string", "enum": LABELS}


WAYS: dict[str, Way] = {"classify": classify, "generate": generate, "loop": loop}


def measure(frame: pd.DataFrame, rounds: int) -> dict[str, object]:
    """Rows a second of each way: medians, and the medians of the ratios of each round."""
    rates: dict[str, list[float]] = {name: [] for name in WAYS}
    answered = pd.Series(dtype=object)
    classify(frame.head(8))  # the model is loaded, its threads and kernels are chosen
    generate(frame.head(40))
    for number in range(rounds):
        for name, way in WAYS.items():
            began = time.perf_counter()
            labels = way(frame)
            rates[name].append(len(frame) / (time.perf_counter() - began))
            print(f"{number} {name}: {rates[name][-1]:.2f} rows/s", file=sys.stderr)
            answered = labels if name == "loop" else answered
    row: dict[str, object] = {
        f"{name}_rows_per_s": round(statistics.median(values), 3) for name, values in rates.items()
    }
    for other in ("generate", "loop"):
        ratios = [ours / its for ours, its in zip(rates["classify"], rates[other], strict=True)]
        row[f"classify/{other}"] = round(statistics.median(ratios), 3)
    return row | winners(frame, answered)


def winners(frame: pd.DataFrame, answered: pd.Series) -> dict[str, object]:
    """Of the rows whose best label is sure, those that were answered with it."""
    quoted = {f'"{label}"': label for label in LABELS}
    told = ollama_nb.score(frame["prompt"], quoted, model=MODEL).probabilities
    sure = told.max(axis=1) > SURE
    best = told.idxmax(axis=1).map(quoted)
    return {"sure": int(sure.sum()), "same": int((best == answered)[sure].sum())}


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
            return measure(rows(options.rows), options.rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["half-billion"], help=MODELS)
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    found = [
        {"model": name, **served(path, options)} for name, path in models(options.models).items()
    ]
    print(json.dumps({"benchmark": "classify", "rows": found}))


if __name__ == "__main__":
    main()
