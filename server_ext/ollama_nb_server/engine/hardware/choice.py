"""What a model is computed with on this machine, and the file that keeps what was measured.

One file a model, machine and size of context. A file that cannot be read is as good as none: what
it held is measured again.
"""

from __future__ import annotations

import hashlib
import logging
import platform
import secrets
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

log = logging.getLogger(__name__)

FORM = 2  # of the files and of what is measured; another one is measured again


@dataclass(frozen=True, slots=True)
class Key:
    """What a choice holds for. `model` is a digest, or what tells a file from its next version."""

    model: str
    processor: str
    engine: str
    sizes: str

    @property
    def file_name(self) -> str:
        """The name of its file."""
        text = "\n".join((self.model, self.processor, self.engine, self.sizes))
        return f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"


@dataclass(frozen=True, slots=True)
class Choice:
    """Flash attention or not, threads of one sequence, tokens of a step; `why`, in sentences."""

    flash: bool
    threads: int
    num_batch: int
    why: tuple[str, ...] = ()


def kept(folder: Path, key: Key) -> Choice | None:
    """What was chosen for this before."""
    found = _read(folder / key.file_name)
    return found[1] if found is not None and found[0] == key else None


def keep(folder: Path, key: Key, choice: Choice) -> None:
    """Keep a choice for the next load; where that cannot be, it is measured again then."""
    path = folder / key.file_name
    temporary = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    data = orjson.dumps({"form": FORM, "key": asdict(key), "choice": asdict(choice)})
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError as error:
        log.warning("what was measured cannot be kept: %s", error)
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def all_kept(folder: Path) -> Iterator[tuple[Key, Choice]]:
    """Every choice in a folder."""
    with suppress(OSError):
        for path in sorted(folder.glob("*.json")):
            if found := _read(path):
                yield found


def identity(path: Path) -> str:
    """What tells a model from others: a blob's digest, or a file's place, size and time."""
    if path.name.startswith("sha256-"):
        return path.name
    facts = path.stat()
    return f"{path.resolve()} {facts.st_size} {facts.st_mtime_ns}"


def processor_name() -> str:
    """The processor's name, as far as the system tells it."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _read(path: Path) -> tuple[Key, Choice] | None:
    try:
        return _read_as(orjson.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _read_as(facts: Mapping[str, Any]) -> tuple[Key, Choice] | None:
    choice = dict(facts["choice"])
    made = Choice(**{**choice, "why": tuple(map(str, choice["why"]))})
    sizes = made.threads, made.num_batch
    sound = isinstance(made.flash, bool) and all(type(n) is int and n > 0 for n in sizes)
    return (Key(**facts["key"]), made) if sound and facts["form"] == FORM else None
