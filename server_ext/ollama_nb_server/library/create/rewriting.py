"""GGUF files rewritten by llama.cpp in a process of its own: copied (which checks them), quantised.

A copy has the bytes that Ollama's own create would store.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ollama_nb_server.library.errors import (
    AlreadyQuantized,
    CannotRewrite,
    UnsupportedQuantization,
)
from ollama_nb_server.library.gguf import GGUFMetadata

TYPES = {"F32": 0, "F16": 1, "BF16": 32, "Q8_0": 7, "Q4_K_S": 14, "Q4_K_M": 15}  # llama_ftype
ALIASES = {"Q4_K": "Q4_K_M"}
FULL = ("F32", "F16", "BF16")
COPY = "copy"
STEP = re.compile(rb"(\d+) (\d+)\s*")


def quantization(text: str) -> str:
    """The name of a type, however it is spelled.

    Raises
    ------
    UnsupportedQuantization
        For one that a model cannot be made of.
    """
    name = ALIASES.get(text.upper(), text.upper())
    if name not in TYPES:
        raise UnsupportedQuantization(name)
    return name


def source_type(metadata: GGUFMetadata) -> str:
    """What a model is made of, if it can be quantised.

    Raises
    ------
    AlreadyQuantized
        If one of its tensors is neither F16, BF16 nor F32.
    """
    kinds = {tensor.type_name for tensor in metadata.tensors if len(tensor.shape) > 1}
    if not kinds <= set(FULL):
        raise AlreadyQuantized
    return metadata.file_type if metadata.file_type in FULL else "F32"


def rewrite(
    source: Path, target: Path, kind: str = COPY, architecture: str = ""
) -> Iterator[tuple[int, int]]:
    """Write `target` anew from `source`, telling tensors done and tensors in all.

    Closing the iterator ends the work.

    Raises
    ------
    CannotRewrite
        With llama.cpp's own reason.
    """
    number = COPY if kind == COPY else str(TYPES[kind])
    command = [sys.executable, "-m", "ollama_nb_server.engine.requantize"]
    said: deque[str] = deque(maxlen=5)
    with _running([*command, str(source), str(target), number, architecture]) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if step := STEP.fullmatch(line):
                yield int(step[1]), int(step[2])
            elif text := line.decode("utf-8", "replace").strip():
                said.append(text)
        code = child.wait()
    if code:
        raise CannotRewrite(said[-1] if said else f"the process ended with code {code}")


@contextmanager
def _running(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A child that does not outlive the block."""
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "GGML_NO_BACKTRACE": "1"},
    ) as child:
        try:
            yield child
        finally:
            child.kill()
