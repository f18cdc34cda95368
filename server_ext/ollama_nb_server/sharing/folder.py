"""Where a server keeps what must not be lost and is no model: a folder in the model store."""

from __future__ import annotations

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
