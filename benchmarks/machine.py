"""On what the figures of a run were measured: processor, memory, system, commit, day."""

from __future__ import annotations

import datetime
import platform
import subprocess
from pathlib import Path

import psutil

CPUINFO = Path("/proc/cpuinfo")
MATTERS = ("avx2", "avx512f", "avx512_vnni", "amx_int8")  # what llama.cpp's kernels differ by


def machine() -> dict[str, str]:
    """As a line of text each."""
    told = dict(
        line.split("\t: ", 1) if "\t: " in line else (line, "") for line in _cpuinfo().splitlines()
    )
    name = told.get("model name\t", told.get("model name", platform.processor()))
    kernels = [flag for flag in MATTERS if flag in told.get("flags\t", told.get("flags", ""))]
    return {
        "processor": f"{psutil.cpu_count()} cores of {name.strip()} ({', '.join(kernels)})",
        "memory": f"{psutil.virtual_memory().total / (1 << 30):.0f} GiB",
        "system": f"{platform.system()}, Python {platform.python_version()}",
        "commit": _commit(),
        "date": datetime.date.today().isoformat(),
    }


def _cpuinfo() -> str:
    return CPUINFO.read_text().split("\n\n")[0] if CPUINFO.exists() else ""


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    done = subprocess.run(
        command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    return done.stdout.strip()
