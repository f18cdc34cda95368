"""Start a model server for this user when none is found: one for all kernels of the machine.

The server itself (`ollama_nb_server`) is only known by its command line.
"""

from __future__ import annotations

import secrets
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from ollama_nb.connection.places import RUNTIME_FILE, Candidate, of_runtime_file

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

START_TIMEOUT_S = 60.0
POLL_S = 0.05
IDLE_TIMEOUT_S = 3600

# Kept so that a child is reaped when it ends while this kernel lives on.
_children: list[subprocess.Popen[bytes]] = []


class CouldNotStart(Exception):
    """The server did not come up; the sentence is a reason for `NoServer`."""


def start(
    environ: Mapping[str, str], runtime: Path, answers: Callable[[Candidate], bool]
) -> Candidate:
    """Start a server, or wait for the one that another kernel is starting.

    Parameters
    ----------
    environ
        The environment of the new process.
    runtime
        Directory of the lock, of the file in which the server tells its address and secret
        (readable by this user only), and of its log.
    answers
        Tells whether a candidate answers.

    Raises
    ------
    CouldNotStart
        With the last line that the server wrote.
    """
    from filelock import FileLock, Timeout

    runtime.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = runtime / RUNTIME_FILE
    try:
        with FileLock(file.with_suffix(".lock"), timeout=START_TIMEOUT_S):
            for candidate in of_runtime_file(file):  # another kernel was faster
                if answers(candidate):
                    return candidate
            return _launch(environ, file, answers)
    except Timeout:
        raise CouldNotStart("another kernel has been starting one for a minute") from None


def _launch(
    environ: Mapping[str, str], file: Path, answers: Callable[[Candidate], bool]
) -> Candidate:
    file.unlink(missing_ok=True)
    log = file.with_suffix(".log")
    process = _spawn(environ, file, log)
    deadline = time.monotonic() + START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        for candidate in of_runtime_file(file):
            if answers(candidate):
                return candidate
        time.sleep(POLL_S)
    process.kill()
    raise CouldNotStart(_last_line(log) or f"it ended with status {process.wait()}")


def _spawn(environ: Mapping[str, str], file: Path, log: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "ollama_nb_server", "serve", "--port", "0"]
    command += ["--runtime-file", str(file), "--idle-timeout", str(IDLE_TIMEOUT_S)]
    log.touch(mode=0o600)
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env={**environ, "OLLAMA_NB_TOKEN": secrets.token_urlsafe(32)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # a Ctrl-C in the kernel's terminal is not meant for it
        )
    _children.append(process)
    return process


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    said = [line.strip() for line in lines if line.strip()]
    return said[-1] if said else ""
