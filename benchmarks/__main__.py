"""Run every benchmark: `python -m benchmarks [--llama-server PATH]`."""

from __future__ import annotations

import argparse
import subprocess
import sys

SCRIPTS = (
    "imports",
    "throughput",
    "first_token",
    "busy",
    "latency",
    "listing",
    "pull",
    "rendering",
    "parsing",
    "structured",
)
COMPARED = ("throughput", "first_token", "busy", "structured")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--llama-server", help="path of a llama-server to compare with")
    peer = parser.parse_args().llama_server
    for script in SCRIPTS:
        more = ["--llama-server", peer] if peer and script in COMPARED else []
        subprocess.run([sys.executable, "-m", f"benchmarks.{script}", *more], check=True)


if __name__ == "__main__":
    main()
