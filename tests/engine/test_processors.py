"""What this process may use of the machine: control groups as Linux shows them, and the real one."""

from __future__ import annotations

import math
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ollama_nb_server.engine.hardware.processors import (
    ProcessorReader,
    ProcessorTimes,
    affinity,
    cpu_quota,
    processors,
    usable_processors,
)

V2, V1 = "0::/jobs/one\n", "9:name=systemd:/\n4:cpu,cpuacct:/jobs/one\n"
USED_V2 = "usage_usec 2500000\nuser_usec 2000000\nsystem_usec 500000\n"


def tree(root: Path, groups: str, files: dict[str, str]) -> Path:
    """A root of a file system with these control groups."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(groups)
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


CASES = {
    "version 2": (V2, {"jobs/one/cpu.max": "150000 100000\n", "jobs/one/cpu.stat": USED_V2}, 1.5),
    "around us": (V2, {"jobs/one/cpu.max": "max 100000\n", "jobs/cpu.max": "50000 100000\n"}, 0.5),
    "the tightest": (V2, {"cpu.max": "200000 100000", "jobs/one/cpu.max": "400000 100000"}, 2.0),
    "a container's": ("0::/\n", {"cpu.max": "300000 100000\n"}, 3.0),
    "seen from a container": (V2, {"cpu.max": "300000 100000\n"}, 3.0),
    "both versions": ("0::/\n" + V1, {"unified/cpu.max": "250000 100000\n"}, 2.5),
    "version 1": (
        V1,
        {
            "cpu/jobs/one/cpu.cfs_quota_us": "75000\n",
            "cpu/jobs/one/cpu.cfs_period_us": "50000\n",
            "cpuacct/jobs/one/cpuacct.usage": "2500000000\n",
        },
        1.5,
    ),
    "version 1, none": (
        V1,
        {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"},
        None,
    ),
    "version 2, none": (V2, {"jobs/one/cpu.max": "max 100000\n"}, None),
    "unreadable": (V2, {"jobs/one/cpu.max": "much\n"}, None),
    "no control groups": ("", {}, None),
}


@pytest.mark.parametrize(("groups", "files", "expected"), CASES.values(), ids=CASES)
def test_a_quota_is_found_wherever_it_is_set(tmp_path, groups, files, expected):
    quota = cpu_quota(tree(tmp_path, groups, files))

    assert (quota and quota.processors) == expected


@pytest.mark.parametrize("name", ["version 2", "version 1"])
def test_a_quota_tells_what_was_used_of_it(tmp_path, name):
    groups, files, _ = CASES[name]

    assert cpu_quota(tree(tmp_path, groups, files)).used_s() == 2.5


def test_a_usage_that_is_not_told_is_no_number(tmp_path):
    groups, files, _ = CASES["around us"]

    assert math.isnan(cpu_quota(tree(tmp_path, groups, files)).used_s())


def test_whole_processors_are_used_of_a_quota_and_one_at_least(tmp_path):
    half = tree(tmp_path / "half", V2, CASES["around us"][1])
    more = tree(tmp_path / "more", V2, {"cpu.max": "9900000 100000"})

    assert (processors(half), usable_processors(half)) == (0.5, 1)
    assert processors(more) == len(affinity())


COMPUTING = "print(flush=True)\nwhile True: pass"


def others_s(reader: ProcessorReader, first: ProcessorTimes, last: ProcessorTimes) -> float:
    """Processor time that is neither idle nor ours."""
    whole_s = reader.num_processors * (last.clock_s - first.clock_s)
    return whole_s - (last.idle_s - first.idle_s) - (last.own_s - first.own_s)


def test_what_another_process_computes_is_others():
    reader = ProcessorReader()
    other = subprocess.Popen([sys.executable, "-c", COMPUTING], stdout=subprocess.PIPE)
    other.stdout.readline()
    first = last = reader.read()
    deadline = time.monotonic() + 60

    while others_s(reader, first, last) < 0.5 and time.monotonic() < deadline:
        time.sleep(0.05)
        last = reader.read()
    other.kill()
    other.communicate()

    assert others_s(reader, first, last) >= 0.5


def test_what_we_compute_is_ours():
    reader = ProcessorReader()
    first, began_s = reader.read(), time.process_time()

    while time.process_time() - began_s < 0.2:
        pass

    assert reader.read().own_s - first.own_s >= 0.2
