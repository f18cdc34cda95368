"""Run every benchmark, and print a JSON line each; the first line tells the machine.

    python -m benchmarks [--only NAME ...] [--quick] [--llama-server PATH] [--model PATH] > lines
    python -m benchmarks.tables lines

`embedding` wants encoders (--encoders PATH ...), and is left out without. No script may take longer
than --limit-s; one that does is given up, and its line says so. With a published model (--model)
what compares servers is measured on it as well as on the random one.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time

from benchmarks.machine import machine

SCRIPTS = (
    "imports",
    "display",
    "throughput",
    "long_context",
    "clients",
    "first_token",
    "prefixes",
    "chat",
    "long_prompts",
    "structured",
    "rows",
    "classify",
    "embedding",
    "slow_readers",
    "switch",
    "busy",
    "latency",
    "soak",
    "listing",
    "pull",
    "rendering",
    "parsing",
)
COMPARED = (
    "throughput",
    "long_context",
    "clients",
    "first_token",
    "prefixes",
    "chat",
    "long_prompts",
    "structured",
    "slow_readers",
    "switch",
    "busy",
)
LIMIT_S = 600


def command(script: str, options: argparse.Namespace) -> list[str]:
    """A script with what it has to know."""
    more: list[str] = []
    if script in COMPARED:
        more += ["--llama-server", options.llama_server] if options.llama_server else []
        more += ["--models", "half-billion", options.model] if options.model else []
        more += ["--rounds", "1"] if options.quick else []
    if script == "embedding":
        more += options.encoders
        more += ["--llama-server", options.llama_server] if options.llama_server else []
    if script in ("rows", "classify"):
        more += ["--models", "half-billion", options.model] if options.model else []
        more += ["--rounds", "1"] if options.quick else []
    if script == "soak":
        more += ["--seconds", "60" if options.quick else "300"]
    return [sys.executable, "-m", f"benchmarks.{script}", *more]


def line(script: str, options: argparse.Namespace) -> str:
    """What a script printed, or why it did not."""
    began = time.monotonic()
    done = subprocess.Popen(
        command(script, options), stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        said, _ = done.communicate(timeout=options.limit_s)
    except subprocess.TimeoutExpired:
        return json.dumps({"benchmark": script, "given up after s": options.limit_s})
    finally:
        end(done)
    if done.returncode:
        return json.dumps({"benchmark": script, "failed": done.returncode})
    told = json.loads(said.splitlines()[-1])
    return json.dumps({**told, "took_s": round(time.monotonic() - began)})


def end(script: subprocess.Popen[str]) -> None:
    """Interrupt it and the servers that it has started, which then clean up."""
    if script.poll() is None:
        os.killpg(script.pid, signal.SIGINT)
        script.communicate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--llama-server", help="path of a llama-server to compare with")
    parser.add_argument("--model", help="path of a published model's GGUF file, to measure too")
    parser.add_argument("--encoders", nargs="+", default=[], help="paths of models that embed")
    parser.add_argument("--only", nargs="+", choices=SCRIPTS, default=SCRIPTS)
    parser.add_argument("--quick", action="store_true", help="a round each")
    parser.add_argument("--limit-s", type=float, default=LIMIT_S, help="of a script")
    options = parser.parse_args()
    print(json.dumps({"benchmark": "machine", **machine()}), flush=True)
    for script in options.only:
        if script == "embedding" and not options.encoders:
            continue
        print(line(script, options), flush=True)


if __name__ == "__main__":
    main()
