"""A download on the disk: the file of full size, and a state file a part, as Ollama has them (3.6).

    blobs/sha256-X-partial       data, sparse, of full size from the beginning
    blobs/sha256-X-partial-N     {"N":0,"Offset":0,"Size":104857600,"Completed":0}

Either side can go on with what the other has begun.
"""

from __future__ import annotations

import errno
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ollama_nb_server.library import blobs
from ollama_nb_server.registry.limits import Limits

MAX_STATE_BYTES = 1024
FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(slots=True)
class Part:
    """A piece of a blob; `completed` grows."""

    number: int
    offset: int
    size: int
    completed: int = 0
    saved: int = 0  # of `completed`, what the state file says

    @property
    def start(self) -> int:
        """The next byte that is missing."""
        return self.offset + self.completed

    @property
    def end(self) -> int:
        """The byte after the last."""
        return self.offset + self.size

    @property
    def missing(self) -> int:
        """Bytes that are still to come."""
        return self.size - self.completed

    def encode(self) -> bytes:
        """As its state file says it."""
        state = {
            "N": self.number,
            "Offset": self.offset,
            "Size": self.size,
            "Completed": self.completed,
        }
        return json.dumps(state, separators=(",", ":")).encode() + b"\n"

    @classmethod
    def decode(cls, data: bytes) -> Part:
        """Read a state file.

        Raises
        ------
        ValueError
            If it is none.
        """
        try:
            state: Any = json.loads(data)
            numbers = [state[key] for key in ("N", "Offset", "Size", "Completed")]
        except (KeyError, TypeError, RecursionError) as error:
            raise ValueError("not the state of a part") from error
        if not all(type(number) is int and number >= 0 for number in numbers):
            raise ValueError("not the state of a part")
        part = cls(*numbers)
        part.saved = part.completed
        if part.completed > part.size:
            raise ValueError("more than the whole part is complete")
        return part


def plan(total: int, limits: Limits) -> list[Part]:
    """Cut a blob of so many bytes."""
    size = min(max(total // limits.num_parts, limits.min_part_bytes), limits.max_part_bytes)
    return [
        Part(number, offset, min(size, total - offset))
        for number, offset in enumerate(range(0, total, size))
    ]


class PartFiles:
    """The files of one download. All methods block on the disk."""

    def __init__(self, blob: Path) -> None:
        self.data = blob.with_name(f"{blob.name}-partial")

    def load(self, total: int) -> list[Part] | None:
        """The parts as they were left; None if there are none that fit a blob of this size.

        The data file must be there in full size: its holes would else count as complete.
        """
        try:
            if self.data.is_symlink() or self.data.stat().st_size != total:
                return None
            parts = sorted(map(_read, self._states()), key=lambda part: part.number)
        except (OSError, ValueError):
            return None
        starts = [0, *(part.end for part in parts)]
        fits = all(p.number == i and p.offset == starts[i] for i, p in enumerate(parts))
        return parts if parts and fits and starts[-1] == total else None

    def begin(self, parts: list[Part]) -> None:
        """Replace whatever there is by an empty file and these parts."""
        self.remove()
        self.data.parent.mkdir(parents=True, exist_ok=True)
        for part in parts:
            self.save(part)
        with self.data.open("xb") as file:
            self.data.chmod(blobs.MODE)
            file.truncate(parts[-1].end if parts else 0)

    def save(self, part: Part) -> None:
        """Write a part's state, whole or not at all; on a full disk, over the old one."""
        completed, data = part.completed, part.encode()
        try:
            self._replace(self._state(part.number), data)
        except OSError as error:
            if error.errno not in FULL:
                raise
            _overwrite(self._state(part.number), data)
        part.saved = completed

    def _replace(self, state: Path, data: bytes) -> None:
        temporary = blobs.temporary(self.data.parent)
        try:
            temporary.write_bytes(data)
            temporary.chmod(blobs.MODE)
            temporary.replace(state)
        finally:
            temporary.unlink(missing_ok=True)  # a full disk may not take it

    def allocated(self) -> int:
        """Bytes of the disk that the data has already, its holes left out."""
        found = self.data.stat()
        blocks: int | None = getattr(found, "st_blocks", None)  # Windows does not tell
        return 0 if blocks is None else blocks * 512

    def finish(self, blob: Path) -> None:
        """Make a blob of it. The states go last: without them a killed server would begin anew."""
        self.data.replace(blob)
        self._remove_states()

    def remove(self) -> None:
        """Throw it all away."""
        self._remove_states()
        self.data.unlink(missing_ok=True)

    def changed_at(self) -> float | None:
        """When the data was last written, in seconds since 1970; None if there is none."""
        try:
            return self.data.stat().st_mtime
        except FileNotFoundError:
            return None

    def _remove_states(self) -> None:
        for path in self._states():
            path.unlink(missing_ok=True)

    def _state(self, number: int) -> Path:
        return self.data.with_name(f"{self.data.name}-{number}")

    def _states(self) -> list[Path]:
        form = re.compile(rf"{re.escape(self.data.name)}-\d{{1,6}}")
        found = self.data.parent.glob(f"{self.data.name}-*")
        return [path for path in found if form.fullmatch(path.name)]


def _overwrite(state: Path, data: bytes) -> None:
    """Write into the room that a file has."""
    with state.open("r+b") as file:
        file.write(data)
        file.truncate()


def _read(path: Path) -> Part:
    with path.open("rb") as file:
        return Part.decode(file.read(MAX_STATE_BYTES))
