"""Removes from a store what nobody needs any more, when a server starts (ollama-models.md 2.8).

A file that is not understood, or that is younger than an hour, is never touched.
"""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from ollama_nb_server.library.digests import Digest

log = logging.getLogger(__name__)

GRACE_S = 3600.0  # somebody may be about to write the manifest of a blob, or to resume a download
OLD_SPELLING = "sha256:"  # of blobs, before Ollama ran on Windows
# A blob; then what is left of a download (by us, Ollama, Ollama's tensor models) or of a writer.
BLOB = re.compile(r"(?P<blob>sha256-[0-9a-fA-F]{64})")
LEFT_OVER = re.compile(r"(?P<blob>sha256-[0-9a-fA-F]{64})(-partial(-\d+)?|\.tmp)|sha256-\d{1,20}")
MANIFEST_LEFT_OVER = re.compile(r"\.manifest-[0-9a-f]{16}")


def rename_old_blobs(folder: Path) -> None:
    """Give blobs with a colon in their names today's names."""
    for path in _files(folder):
        name = path.name.replace(":", "-")
        if path.name.startswith(OLD_SPELLING) and BLOB.fullmatch(name):
            target = path.with_name(name)
            if not target.exists():
                path.rename(target)


def unneeded(root: Path, used: Iterable[Digest], now: float) -> Iterator[Path]:
    """Files of a store that may go: blobs that no manifest uses, left-overs; all over an hour old.

    Parts of one download stay together: while one of them is young, all of them stay.
    """
    kept = {digest.filename.casefold() for digest in used}
    groups: dict[str, list[Path]] = defaultdict(list)
    for path in _files(root / "blobs"):
        if left := LEFT_OVER.fullmatch(path.name):
            groups[left["blob"] or path.name].append(path)
        elif BLOB.fullmatch(path.name) and path.name.casefold() not in kept:
            yield from _old([path], now)
    for group in groups.values():
        yield from _old(group, now)
    for path in _files(root):
        if MANIFEST_LEFT_OVER.fullmatch(path.name):
            yield from _old([path], now)


def _old(paths: list[Path], now: float) -> list[Path]:
    """All of these if the youngest is old, else none; one that has just gone counts as young."""
    try:
        return paths if all(now - path.stat().st_mtime > GRACE_S for path in paths) else []
    except FileNotFoundError:
        return []


def _files(folder: Path) -> list[Path]:
    """Regular files, never links."""
    if not folder.is_dir():
        return []
    return [path for path in folder.iterdir() if path.is_file() and not path.is_symlink()]


def remove(paths: Iterable[Path]) -> int:
    """Remove files; returns how many went."""
    count = 0
    for path in paths:
        path.unlink(missing_ok=True)
        log.info("%s was no longer needed and is removed", path)
        count += 1
    return count


def remove_empty_folders(manifests: Path) -> None:
    """Remove folders of names that have no model left."""
    for pattern in ("*/*/*", "*/*", "*"):
        for folder in manifests.glob(pattern):
            if folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir()):
                folder.rmdir()
