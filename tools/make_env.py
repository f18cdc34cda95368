"""Sets up .venv with everything: the engine built for this machine's processor, then the project.

Run by `make`; needs nothing but Python's standard library. An engine that is there already is left
alone.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HEADER = ROOT / "tools" / "amx_tile_config.h"
MIN_PYTHON = (3, 10)
EXTRAS = "test,lint,plots"
BUGGY_OPERAND = re.compile(r"ldtilecfg[^;]*const\s+void\s*\*\s*\*")
TRY_ENGINE = """
from ollama_nb_server.engine.messages import LoadSpec
from ollama_nb_server.engine.native import AbortSwitch, NativeLog
from ollama_nb_server.engine.engine import Engine
from ollama_nb_server.library.bundled import DEMO
Engine(LoadSpec(str(DEMO), num_ctx=128, num_parallel=1), NativeLog(), AbortSwitch())
"""


def say(text: str) -> None:
    """One line for the person who waits."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def missing_programs() -> list[str]:
    """Debian packages without which nothing can be set up."""
    wanted = [] if shutil.which("g++") or shutil.which(os.environ.get("CXX", "c++")) else ["g++"]
    if importlib.util.find_spec("ensurepip") is None or importlib.util.find_spec("venv") is None:
        wanted.append("python3-venv")
    return wanted


def has_tile_bug(compiler: str) -> bool:
    """Whether this compiler's own header describes the tile configuration as 8 bytes."""
    command = [compiler, "-mamx-tile", "-x", "c++", "-E", "-include", "immintrin.h", "-"]
    done = subprocess.run(command, input="", capture_output=True, text=True, check=False)
    return done.returncode == 0 and bool(BUGGY_OPERAND.search(done.stdout))


def run(command: Sequence[str | Path], log: Path, **more: str) -> int:
    """Run a command, its output to the end of a log file; its exit status."""
    with log.open("ab") as file:
        done = subprocess.run(
            [str(part) for part in command],
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, **more},
            cwd=ROOT,
            check=False,
        )
    return done.returncode


class Environment:
    """One virtual environment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        bin_folder = "Scripts" if os.name == "nt" else "bin"
        self.python = folder / bin_folder / ("python.exe" if os.name == "nt" else "python")
        self.log = folder / "setup.log"
        self._stamp = folder / "ollama-nb.stamp"

    def create(self) -> None:
        """Make it, if it is not there."""
        if not self.python.exists():
            say(f"creating {self.folder}")
            subprocess.run([sys.executable, "-m", "venv", str(self.folder)], check=True)

    @property
    def state(self) -> str:
        """What the set-up depends on; equal states need no new set-up."""
        facts = (ROOT / "pyproject.toml").read_bytes() + Path(__file__).read_bytes()
        return hashlib.sha256(facts + str(ROOT).encode()).hexdigest()

    @property
    def up_to_date(self) -> bool:
        """Whether the last set-up was for this state."""
        return self._stamp.exists() and self._stamp.read_text() == self.state

    def has_engine(self) -> bool:
        """Whether a llama_cpp can be found (it may be the user's own build)."""
        code = "import importlib.util, sys; sys.exit(importlib.util.find_spec('llama_cpp') is None)"
        return subprocess.run([str(self.python), "-c", code], check=False).returncode == 0

    def build_engine(self, requirement: str, *, fresh: bool = False) -> None:
        """Compile llama-cpp-python for this processor."""
        say(
            f"building {requirement} (llama.cpp) for this machine's processor; this takes about "
            f"5 minutes, its output goes to {self.log}"
        )
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="ollama-nb-") as folder:
            cmake = os.environ.get("CMAKE_ARGS", "")
            if has_tile_bug(os.environ.get("CXX", "g++")):
                copy = shutil.copy(HEADER, folder)  # to a path without blanks
                cmake = f"{cmake} -DCMAKE_CXX_FLAGS=-include\\ {copy}".strip()
            anew = ["--no-cache-dir", "--force-reinstall", "--no-deps"] if fresh else []
            command = [self.python, "-m", "pip", "install", "-v", *anew, requirement]
            status = run(command, self.log, CMAKE_ARGS=cmake)
        if status:
            sys.exit(
                f"the engine could not be built; the end of {self.log} says why. With a prebuilt "
                f"llama-cpp-python in {self.folder}, `make` leaves that alone and goes on."
            )
        say(f"built in {time.monotonic() - began:.0f} s")

    def install(self) -> None:
        """Install the project, editable, with all its extras."""
        say("installing ollama_nb and what it needs")
        command = [self.python, "-m", "pip", "install", "-e", f"{ROOT}[{EXTRAS}]"]
        if run(command, self.log):
            sys.exit(f"pip failed; the end of {self.log} says why")

    def engine_computes(self) -> bool:
        """Whether the engine loads the bundled model and decodes (a bad build dies here)."""
        return run([self.python, "-c", TRY_ENGINE], self.log) == 0

    def done(self) -> None:
        """Remember the state."""
        self._stamp.write_text(self.state)


def engine_requirement() -> str:
    """The engine's line in pyproject.toml."""
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    found = re.search(r'"(llama-cpp-python[^"]*)"', text)
    assert found is not None
    return found.group(1)


def main() -> None:
    """Set up what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=ROOT / ".venv")
    environment = Environment(parser.parse_args().folder.absolute())
    if sys.version_info < MIN_PYTHON:
        sys.exit(
            f"Python {'.'.join(map(str, MIN_PYTHON))} or newer is needed, this is {sys.version}"
        )
    if environment.up_to_date:
        return
    there = environment.python.exists() and environment.has_engine()
    if (missing := missing_programs()) and not there:
        sys.exit(
            f"missing: {', '.join(missing)}. Install with: apt-get install {' '.join(missing)}"
        )
    environment.create()
    own_build = not environment.has_engine()
    if own_build:
        environment.build_engine(engine_requirement())
    environment.install()
    if own_build and not environment.engine_computes():
        say("the engine that pip had kept does not run on this processor")
        environment.build_engine(engine_requirement(), fresh=True)
    environment.done()


if __name__ == "__main__":
    main()
