"""What a process may use of the machine's processors, and what is used of them: read, not decided.

How many threads follow from it is decided in `thread_policy`.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path("/")
NOT_USED = ("idle", "iowait", "steal")  # what the host took is nobody's here: it takes it again


@dataclass(frozen=True, slots=True)
class Quota:
    """A control group's limit in processors, and the file that tells what it has used."""

    processors: float
    usage: Path

    def used_s(self) -> float:
        """Processor time of all that is in the group, in seconds; nan where it is not told."""
        try:
            text = self.usage.read_text("ascii")
        except OSError:
            return math.nan
        if self.usage.name == "cpu.stat":  # version 2
            return next((int(n) / 1e6 for k, n in _pairs(text) if k == "usage_usec"), math.nan)
        return int(text) / 1e9


def cpu_quota(root: Path = ROOT) -> Quota | None:
    """The tightest limit of this process's control groups and of those around them."""
    quotas = (*_quotas_v2(root), *_quotas_v1(root))
    return min(quotas, key=lambda quota: quota.processors, default=None)


def processors(root: Path = ROOT) -> float:
    """How many processors this process may use; a quota may be a part of one."""
    quota = cpu_quota(root)
    return min(len(affinity()), quota.processors if quota else math.inf)


def usable_processors(root: Path = ROOT) -> int:
    """The whole ones of them, at least one: threads that share a part would wait for each other."""
    return max(1, math.floor(processors(root)))


def affinity() -> frozenset[int]:
    """The processors that this process may run on, by their numbers."""
    with suppress(AttributeError):  # not on macOS and Windows
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(psutil.cpu_count() or 1))


@dataclass(frozen=True, slots=True)
class ProcessorTimes:
    """Seconds: of the clock, and of processors until then.

    `idle_s` is of all processors that we may run on, `own_s` is what we have used, `group_s` what
    all have used for whom the quota holds (nan: there is none).
    """

    clock_s: float
    idle_s: float
    own_s: float
    group_s: float = math.nan


class ProcessorReader:
    """Reads the times. The server that has started us works for us: what it uses is our own."""

    def __init__(self) -> None:
        self._quota = cpu_quota()
        self._affinity = affinity()
        self._server: psutil.Process | None = None
        with suppress(psutil.Error):
            self._server = psutil.Process(os.getppid())

    @property
    def limit(self) -> float:
        """The quota in processors."""
        return self._quota.processors if self._quota else math.inf

    @property
    def num_processors(self) -> int:
        """Processors that we may run on, whatever the quota."""
        return len(self._affinity)

    def read(self) -> ProcessorTimes | None:
        """The times now; None where the system does not tell them."""
        every = psutil.cpu_times(percpu=True)
        ours = [every[n] for n in self._affinity if n < len(every)]
        idle_s = sum(getattr(times, name, 0.0) for times in ours for name in NOT_USED)
        if not idle_s or len(ours) < len(self._affinity):
            return None
        group_s = self._quota.used_s() if self._quota else math.nan
        return ProcessorTimes(time.monotonic(), idle_s, self._own_s(), group_s)

    def _own_s(self) -> float:
        with suppress(psutil.Error):
            if self._server is not None:
                told = self._server.cpu_times()
                return time.process_time() + float(told.user + told.system)
        return time.process_time()


def _quotas_v2(root: Path) -> Iterator[Quota]:
    for folder in _groups(root, "", ("sys/fs/cgroup", "sys/fs/cgroup/unified")):
        with suppress(OSError, ValueError):  # ValueError: "max", which is no limit
            quota, period = (folder / "cpu.max").read_text("ascii").split()
            yield Quota(int(quota) / int(period), folder / "cpu.stat")


def _quotas_v1(root: Path) -> Iterator[Quota]:
    for folder in _groups(root, "cpu", ("sys/fs/cgroup/cpu", "sys/fs/cgroup/cpu,cpuacct")):
        with suppress(OSError, ValueError):
            quota = int((folder / "cpu.cfs_quota_us").read_text("ascii"))
            period = int((folder / "cpu.cfs_period_us").read_text("ascii"))
            if quota > 0:  # -1 is no limit
                top = root / "sys/fs/cgroup"
                below = folder.relative_to(top).parts[1:]
                yield Quota(quota / period, top.joinpath("cpuacct", *below, "cpuacct.usage"))


def _groups(root: Path, controller: str, places: tuple[str, ...]) -> Iterator[Path]:
    """The folders of our control group and of those around it, as far as they are to be seen.

    A container sees its own group as the topmost one, whatever path it is told.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text("utf-8").splitlines()
    except OSError:
        return
    for _, controllers, path in (line.split(":", 2) for line in lines if line.count(":") >= 2):
        if controller in controllers.split(","):
            inner = Path(path.lstrip("/"))
            for place in places:
                for part in (inner, *inner.parents):
                    yield root / place / part


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        yield key, value
