"""Where a server keeps what must not be lost and is no model: a folder in the model store."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

NAME = "ollama_nb"  # beside Ollama's own `blobs` and `manifests`


def folder(models: Path) -> Path:
    """The folder, made for its owner alone.

    Raises
    ------
    OSError
        If it cannot be made.
    """
    path = models / NAME
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


def replace_file(path: Path, text: str) -> None:
    """Write a file for its owner alone: whoever reads it has the old text or the new one.

    Raises
    ------
    OSError
        If it cannot be written; the old one is there then.
    """
    temporary = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
