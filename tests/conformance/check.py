"""Replays the shared conformance cases and holds the result against the list of those that pass.

    python tests/conformance/check.py SHARED            fails when a listed case no longer passes
    python tests/conformance/check.py SHARED --update   writes the lists anew

SHARED is the folder that holds `conformance/replay.py`. Both apps are tried: stand-alone and below
the extension's prefix.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
START_S, REPLAY_S = 60, 600


@contextmanager
def standalone(folder: Path) -> Iterator[list[str]]:
    """A stand-alone server; replay's arguments for it."""
    facts = folder / "server.json"
    command = ["-m", "ollama_nb_server", "serve", "--port", "0", "--runtime-file", str(facts)]
    with running(command, folder, facts) as process:
        del process
        yield ["--base", json.loads(facts.read_text())["url"]]


@contextmanager
def extension(folder: Path) -> Iterator[list[str]]:
    """A Jupyter server with the extension, below a prefix."""
    token = secrets.token_hex(16)
    command = ["-m", "jupyter_server", "--no-browser", "--allow-root", "--port=0"]
    settings = ["--ServerApp.base_url=/base", f"--IdentityProvider.token={token}"]
    with running([*command, *settings], folder, None) as process:
        facts = folder / "runtime" / f"jpserver-{process.pid}.json"
        wait_for(facts, process)
        time.sleep(2)  # the file is there before the handlers are
        url = json.loads(facts.read_text())["url"]
        yield ["--base", f"{url}ollama", "--header", f"Authorization: token {token}"]


@contextmanager
def registry(folder: Path) -> Iterator[list[str]]:
    """Debian's Docker registry to push to and pull from; replay's arguments for it."""
    program = shutil.which("docker-registry")
    if program is None:
        if os.environ.get("CI") == "true":
            sys.exit("conformance: docker-registry is missing: apt-get install docker-registry")
        yield []
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    settings = {
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": str(folder / "registry")}},
        "http": {"addr": address},
    }
    (folder / "registry.yml").write_text(json.dumps(settings))  # JSON is YAML
    with (folder / "registry.log").open("wb") as log:
        command = [program, "serve", str(folder / "registry.yml")]
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        yield ["--registry", address]
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def running(
    command: list[str], folder: Path, facts: Path | None
) -> Iterator[subprocess.Popen[bytes]]:
    places = {
        "OLLAMA_MODELS": str(folder / "models"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "OLLAMA_NO_CLOUD": "1",  # as the cases were recorded
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *command],
            env={**os.environ, **places},
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
        )
    try:
        if facts is not None:
            wait_for(facts, process)
        yield process
    finally:
        process.terminate()
        process.wait(30)


def wait_for(file: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_S
    while not file.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            sys.exit(f"conformance: the server did not come up ({file})")
        time.sleep(0.05)


def replay(shared: Path, arguments: list[str], folder: Path) -> list[dict[str, str]]:
    """All outcomes of one replay."""
    out = folder / "outcomes.json"
    command = [sys.executable, str(shared / "conformance" / "replay.py"), *arguments]
    subprocess.run(
        [*command, "--json", str(out)], stdout=subprocess.DEVNULL, timeout=REPLAY_S, check=False
    )
    return list(json.loads(out.read_text()))


def table(outcomes: list[dict[str, str]]) -> None:
    """Counts by area."""
    areas = sorted({o["area"] for o in outcomes})
    count = Counter((o["area"], o["outcome"]) for o in outcomes)
    for area in areas:
        passing, rest = count[area, "passed"], count[area, "failed"]
        skipped = count[area, "skipped"]
        print(f"    {area:<22} {passing:>4} pass {rest:>4} do not {skipped:>4} left out")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shared", type=Path)
    parser.add_argument("--update", action="store_true", help="write the lists anew")
    options = parser.parse_args()
    lost: list[str] = []
    for name, host in (("standalone", standalone), ("extension", extension)):
        with (
            tempfile.TemporaryDirectory() as folder,
            registry(Path(folder)) as far,
            host(Path(folder)) as arguments,
        ):
            outcomes = replay(options.shared.resolve(), [*arguments, *far], Path(folder))
        passing = sorted(o["id"] for o in outcomes if o["outcome"] == "passed")
        asked = sum(o["outcome"] != "skipped" for o in outcomes)
        print(f"conformance, {name}: {len(passing)} of {asked} cases pass")
        table(outcomes)
        listed = HERE / f"passing-{name}.txt"
        if options.update:
            listed.write_text("".join(f"{case}\n" for case in passing))
        else:
            lost += [f"{name}: {c}" for c in listed.read_text().split() if c not in passing]
    if lost:
        sys.exit("conformance: cases that passed no longer do:\n  " + "\n  ".join(lost))


if __name__ == "__main__":
    main()
