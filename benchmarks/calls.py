"""What it costs to bind calls: tokens a second of bound answers against the same free ones.

    python -m benchmarks.calls PATH/OF/qwen-coder.gguf

Greedy answers of a published model that has been told how to call; in one engine, without a server,
bound and free in turn. A rate is tokens by the seconds from the first to the last of an answer:
prompts do not count. The last kind binds 200 tools.
"""

from __future__ import annotations

import argparse
import itertools
import json
import queue
import statistics
import sys
import threading
import time
from pathlib import Path
from typing import Any

from ollama_nb_server.engine.core import ActiveRequests, EngineCore
from ollama_nb_server.engine.engine import Engine
from ollama_nb_server.engine.messages import (
    Finished,
    Generate,
    Grammar,
    LoadSpec,
    SamplingParams,
    TextSegment,
)
from ollama_nb_server.engine.native import AbortSwitch, NativeLog
from ollama_nb_server.prompts.parsing.notations import JsonCall
from ollama_nb_server.prompts.parsing.parts import Tool

CALLS = JsonCall("<tool_call>", "</tool_call>")
TOOLS = [
    Tool(name, {"type": "object", "properties": properties, "required": [*properties]})
    for name, properties in {
        "get_weather": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "send_mail": {"to": {"type": "string"}, "subject": {"type": "string"}},
        "convert": {"amount": {"type": "number"}, "source": {"enum": ["EUR", "USD", "GBP"]}},
        "list_files": {"folder": {"type": "string"}, "hidden": {"type": "boolean"}},
        "add_event": {"title": {"type": "string"}, "start": {"type": "string"}},
        "search": {"query": {"type": "string"}, "limit": {"type": "integer"}},
    }.items()
]
ASKED = (
    "What will the weather be in Paris for the next 3 days?",
    "Send a mail to anna@example.com with the subject 'Lunch on Friday'.",
    "How much is 250.5 USD in EUR?",
    "Show me all files in /home/anna/documents, the hidden ones too.",
    "Put 'Dentist' into my calendar for Monday at 9 o'clock.",
    "Search for 5 articles about continuous batching of language models.",
)
SYSTEM = (
    "You call tools. Answer with one call and nothing else, in this form:\n"
    '<tool_call>\n{"name": "NAME", "arguments": {...}}\n</tool_call>\nTools: '
) + "; ".join(f"{tool.name}({', '.join(tool.properties)})" for tool in TOOLS)


def prompt(question: str) -> str:
    turns = (("system", SYSTEM), ("user", question))
    told = "".join(f"<|im_start|>{role}\n{text}<|im_end|>\n" for role, text in turns)
    return f"{told}<|im_start|>assistant\n"


def grammar(tools: list[Tool], *, required: bool) -> Grammar:
    document = json.dumps(CALLS.shape(tools).document())
    return Grammar("shape", document, triggers=(CALLS.opens,), required=required)


def many(count: int) -> list[Tool]:
    """So many tools, those of `TOOLS` among them."""
    more = (Tool(f"{tool.name}_{n}", tool.parameters) for n in itertools.count() for tool in TOOLS)
    return [*TOOLS, *itertools.islice(more, count - len(TOOLS))]


class Asking:
    """An engine at work on a thread of this process."""

    def __init__(self, loaded: Engine, questions: int) -> None:
        self._questions = questions
        self._inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[Finished] = queue.SimpleQueue()
        self._ids = itertools.count(1)
        loop = EngineCore(loaded, self._inbox, ActiveRequests(AbortSwitch()), self._told)
        threading.Thread(target=loop.run, daemon=True).start()

    def _told(self, *messages: object) -> None:
        for message in messages:
            if isinstance(message, Finished):
                self._done.put(message)

    def tokens_per_second(self, at_once: int, bound: Grammar | None) -> float:
        """Tokens of all answers by the seconds since the last prompt was read.

        Prompts are left out: an answer is as long as it takes from its first token to its end.
        """
        told: list[Finished] = []
        questions = [ASKED[n % len(ASKED)] for n in range(max(self._questions, at_once))]
        for first in range(0, len(questions), at_once):
            now = questions[first : first + at_once]
            for question in now:
                said, greedy = (TextSegment(prompt(question)),), SamplingParams(1, temperature=0)
                self._inbox.put(Generate(next(self._ids), said, greedy, 80, grammar=bound))
            told += [self._done.get() for _ in now]
        return sum(one.eval_count for one in told) / sum(one.eval_ns / 1e9 for one in told)


def measured(path: Path, rounds: int, questions: int, streams: list[int]) -> dict[str, object]:
    """Rates of each kind in turn, and the medians of their ratios to the free one."""
    kinds: dict[str, Grammar | None] = {
        "free": None,
        "bound": grammar(TOOLS, required=False),
        "bound, required": grammar(TOOLS, required=True),
        "bound, 200 tools": grammar(many(200), required=False),
    }
    told: dict[str, object] = {}
    for at_once in streams:
        spec = LoadSpec(str(path), num_ctx=512, num_parallel=at_once)
        with Engine(spec, NativeLog(), AbortSwitch()) as loaded:
            loaded.grammars.begin()
            asking = Asking(loaded, questions)
            for bound in kinds.values():  # compiles it, and warms up
                asking.tokens_per_second(at_once, bound)
            rates: dict[str, list[float]] = {kind: [] for kind in kinds}
            for _ in range(rounds):
                for kind, bound in kinds.items():
                    rates[kind].append(asking.tokens_per_second(at_once, bound))
            told[f"{at_once} at once"] = {kind: summary(rates, kind) for kind in kinds}
            print(told, file=sys.stderr)
    return told


def summary(rates: dict[str, list[float]], kind: str) -> dict[str, float]:
    ratios = [one / free for one, free in zip(rates[kind], rates["free"], strict=True)]
    return {
        "tokens/s": round(statistics.median(rates[kind]), 1),
        "ratio": round(statistics.median(ratios), 3),
    }


def compile_seconds(path: Path) -> dict[str, float]:
    """How long until a grammar is ready, the table of tokens made before."""
    with Engine(LoadSpec(str(path), num_ctx=64, num_parallel=1), NativeLog(), AbortSwitch()) as own:
        own.grammars.begin()
        done: queue.SimpleQueue[object] = queue.SimpleQueue()
        took = {}
        for name, tools in {"": TOOLS[:1], "6 tools": TOOLS, "200 tools": many(200)}.items():
            began = time.perf_counter()
            own.grammars.compile(grammar(tools, required=True), done.put)
            done.get()
            took[name] = round(time.perf_counter() - began, 3)
        return {name: seconds for name, seconds in took.items() if name}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="a model that calls tools as Qwen2.5 does")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--questions", type=int, default=len(ASKED))
    parser.add_argument("--at-once", type=int, nargs="+", default=[1, 6])
    options = parser.parse_args()
    told = measured(options.model, options.rounds, options.questions, options.at_once)
    compiled = compile_seconds(options.model)
    print(json.dumps({"benchmark": "calls", **told, "compiled in s": compiled}))


if __name__ == "__main__":
    main()
