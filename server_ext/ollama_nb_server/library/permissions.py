"""Whether a store can be used at all: told when a server starts, not only to whoever pulls."""

from __future__ import annotations

import errno
import os
import tempfile
from contextlib import suppress
from pathlib import Path

ELSEWHERE = "or let OLLAMA_MODELS name another folder"


def obstacle(root: Path) -> str:
    """Why a store cannot be read or written, and what to do; nothing if it can be both."""
    try:
        _look(root)
    except OSError as error:
        return (
            f"the model store {root} cannot be read ({_reason(error)}), so there are no models: "
            f"give the user of this server the right to read and write there, {ELSEWHERE}"
        )
    try:
        _try_to_write(root)
    except OSError as error:
        return (
            f"the model store {root} cannot be written ({_reason(error)}): models that are there "
            "can be used, but none can be pulled, created, copied or deleted; give the user of "
            f"this server the right to write there, {ELSEWHERE}"
        )
    return ""


def _look(root: Path) -> None:
    """See what is there; a store that is not there yet is empty."""
    for folder in (root, root / "manifests", root / "blobs"):
        with suppress(FileNotFoundError), os.scandir(folder) as found:
            next(found, None)


def _try_to_write(root: Path) -> None:
    """Write a file that is gone at once. Rights alone tell too little: disks may be read-only."""
    if not root.exists():
        _see_that_it_can_be_made(root)
        return
    for folder in (root, root / "manifests", root / "blobs"):
        with suppress(FileNotFoundError), tempfile.TemporaryFile(dir=folder):
            pass


def _see_that_it_can_be_made(root: Path) -> None:
    parent = next(folder for folder in root.parents if folder.exists())
    if not parent.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(parent))
    if not os.access(parent, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(parent))


def _reason(error: OSError) -> str:
    return f"{error.strerror or error}: {error.filename}" if error.filename else str(error)
