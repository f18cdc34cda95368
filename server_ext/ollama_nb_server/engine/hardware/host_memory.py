"""How much memory this process may have and may still take: the system's, or its cgroups'.

In a container or under a Hub the limit of a control group counts, which the system's own figures
do not show: what takes more than that is killed without a word.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

CGROUPS, MEMBERSHIP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


@dataclass(frozen=True, slots=True)
class HostMemory:
    """What there is, and what is free of it, in bytes."""

    total_bytes: int
    free_bytes: int

    @classmethod
    def now(cls, cgroups: Path = CGROUPS, membership: Path = MEMBERSHIP) -> HostMemory:
        """As it is at this moment. The smallest limit of a group and those around it counts."""
        system = psutil.virtual_memory()
        least = cls(system.total, system.available)
        for group in _groups(cgroups, membership):
            least = cls(
                min(least.total_bytes, group.total_bytes),
                min(least.free_bytes, group.free_bytes),
            )
        return least


@dataclass(frozen=True, slots=True)
class _Files:
    """What a version of cgroups calls a limit, what is used of it, and what of that is cache."""

    limit: str
    used: str
    cache: str

    def read(self, folder: Path) -> HostMemory | None:
        """None where there is no limit."""
        with suppress(OSError, ValueError):
            limit = int((folder / self.limit).read_text())  # "max": no number
            used = int((folder / self.used).read_text())
            free = limit - used + self._reclaimable(folder)
            return HostMemory(limit, max(min(free, limit), 0))
        return None

    def _reclaimable(self, folder: Path) -> int:
        """Pages of files that nobody has used lately: they go before anybody is killed."""
        with suppress(OSError, ValueError):
            lines = (folder / "memory.stat").read_text().splitlines()
            return int(dict(line.split(maxsplit=1) for line in lines).get(self.cache, 0))
        return 0


V2 = _Files("memory.max", "memory.current", "inactive_file")
V1 = _Files("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


def _groups(cgroups: Path, membership: Path) -> list[HostMemory]:
    """The limits of the groups that this process is in, and of all groups around these."""
    try:
        lines = membership.read_text().splitlines()
    except OSError:  # not on macOS and Windows
        return []
    found = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            found += _limits(V2, cgroups, path)
        elif "memory" in controllers.split(","):
            found += _limits(V1, cgroups / "memory", path)
    return found


def _limits(files: _Files, root: Path, path: str) -> list[HostMemory]:
    """From a group up to the root; in a container the root is its own, whatever the path says."""
    inner = root / path.lstrip("/")
    folders = [inner, *(folder for folder in inner.parents if folder.is_relative_to(root))]
    read = (files.read(folder) for folder in folders)
    return [memory for memory in read if memory is not None]
