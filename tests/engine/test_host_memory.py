"""The memory that control groups leave, read from files as the kernel writes them."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest
from ollama_nb_server.engine.hardware.host_memory import HostMemory

MIB = 1 << 20
V2 = {"memory.max": "{limit}", "memory.current": "{used}"}
V1 = {"memory.limit_in_bytes": "{limit}", "memory.usage_in_bytes": "{used}"}


def written(folder: Path, names: dict[str, str], limit: object, used: int, stat: str = "") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in names.items():
        (folder / name).write_text(text.format(limit=limit, used=used) + "\n")
    if stat:
        (folder / "memory.stat").write_text(stat)


def read(tmp_path: Path, membership: str) -> HostMemory:
    (tmp_path / "cgroup").write_text(membership)
    return HostMemory.now(tmp_path / "fs", tmp_path / "cgroup")


@pytest.mark.parametrize(
    ("names", "folder", "membership"),
    [
        (V2, "fs/hub/user", "0::/hub/user\n"),
        (V2, "fs", "0::/not/seen/from/inside\n"),
        (V1, "fs/memory/docker/1", "5:cpu,cpuacct:/docker/1\n4:memory:/docker/1\n0::/\n"),
        (V1, "fs/memory", "4:memory:/docker/1\n"),
    ],
)
def test_a_groups_limit_counts_not_the_systems(
    tmp_path: Path, names: dict[str, str], folder: str, membership: str
) -> None:
    written(tmp_path / folder, names, 64 * MIB, 24 * MIB)

    assert read(tmp_path, membership) == HostMemory(64 * MIB, 40 * MIB)


def test_the_smallest_limit_of_the_groups_around_counts(tmp_path: Path) -> None:
    written(tmp_path / "fs/hub", V2, 32 * MIB, 30 * MIB)
    written(tmp_path / "fs/hub/user", V2, 64 * MIB, 1 * MIB)

    assert read(tmp_path, "0::/hub/user\n") == HostMemory(32 * MIB, 2 * MIB)


@pytest.mark.parametrize(("names", "key"), [(V2, "inactive_file"), (V1, "total_inactive_file")])
def test_pages_of_files_that_nobody_uses_are_free(
    tmp_path: Path, names: dict[str, str], key: str
) -> None:
    folder = tmp_path / ("fs" if names is V2 else "fs/memory")
    written(folder, names, 64 * MIB, 60 * MIB, f"anon 1\n{key} {20 * MIB}\nactive_file {MIB}\n")

    assert read(tmp_path, "0::/\n4:memory:/\n").free_bytes == 24 * MIB


@pytest.mark.parametrize("limit", ["max", 9223372036854771712])
def test_a_group_without_a_limit_has_the_systems(tmp_path: Path, limit: object) -> None:
    written(tmp_path / "fs", V2, limit, 5)

    assert read(tmp_path, "0::/\n").total_bytes == psutil.virtual_memory().total


def test_more_used_than_allowed_leaves_nothing(tmp_path: Path) -> None:
    written(tmp_path / "fs", V2, MIB, 2 * MIB)

    assert read(tmp_path, "0::/\n") == HostMemory(MIB, 0)


def test_a_system_without_groups_has_its_own(tmp_path: Path) -> None:
    memory = HostMemory.now(tmp_path, tmp_path / "nothing")

    assert memory.total_bytes == psutil.virtual_memory().total
    assert 0 < memory.free_bytes < memory.total_bytes
