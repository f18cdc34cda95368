"""Writes a translated file: its header, then runs of another file's bytes.

The kernel copies them; file systems that can (XFS, Btrfs, NFS 4.2) share them instead.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from ollama_nb_server.library.dialects.errors import TranslationCancelled
from ollama_nb_server.library.dialects.header import Run, Translated
from ollama_nb_server.library.errors import NotGGUF

STEP_BYTES = 32 << 20  # between two looks whether it is still wanted
NOT_HERE = frozenset({errno.ENOSYS, errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM})


def write(
    source: Path, target: Path, translated: Translated, cancelled: Callable[[], bool]
) -> None:
    """Write the whole file and see it on the disk.

    Raises
    ------
    TranslationCancelled
        As soon as `cancelled` says so.
    NotGGUF
        If the old file ends before its tensors do.
    OSError
    """
    with source.open("rb") as old, target.open("wb") as new:
        new.write(translated.header)
        new.flush()
        for run in translated.runs:
            _copy(old, new, run, cancelled)
        new.truncate(translated.size)
        os.fsync(new.fileno())


def _copy(old: BinaryIO, new: BinaryIO, run: Run, cancelled: Callable[[], bool]) -> None:
    done = 0
    while done < run.length:
        if cancelled():
            raise TranslationCancelled
        place = run.source + done
        wanted = min(STEP_BYTES - place % STEP_BYTES, run.length - done)  # ends where a page does
        copied = _step(old, new, place, run.target + done, wanted)
        if copied == 0:
            raise NotGGUF("it ends before its tensors do")
        done += copied


def _step(old: BinaryIO, new: BinaryIO, source: int, target: int, count: int) -> int:
    """Copy some bytes, by the kernel if it can; tells how many."""
    if hasattr(os, "copy_file_range"):
        try:
            return os.copy_file_range(old.fileno(), new.fileno(), count, source, target)
        except OSError as error:
            if error.errno not in NOT_HERE:
                raise
    old.seek(source)
    new.seek(target)
    copied = new.write(old.read(count))
    new.flush()
    return copied
