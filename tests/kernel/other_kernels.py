"""Other versions of ipykernel than the installed one, each in a folder of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

NEWEST = "newest"  # the one that is installed
VERSIONS = ("6.29.5", "7.0.1", NEWEST)


def folder_of(version: str, kept: Path) -> Path:
    """Return the folder with a version, fetched if it is not there yet."""
    folder = kept / version
    if not folder.exists():
        with TemporaryDirectory(dir=kept) as part:
            _fetch(version, Path(part))
            Path(part).rename(folder)
            Path(part).mkdir()
    return folder


def _fetch(version: str, folder: Path) -> None:
    """Install it without what it needs, which the installed one needs too, all but one package."""
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder)]
    wanted = [f"ipykernel=={version}", "nest-asyncio"]
    done = subprocess.run([*command, *wanted], capture_output=True, text=True, check=False)
    if done.returncode:
        assert os.environ.get("CI") != "true", done.stderr
        pytest.skip(f"ipykernel {version} cannot be fetched here")


def path_with(version: str, kept: Path) -> dict[str, str]:
    """Return what in the environment has kernels be of this version."""
    if version == NEWEST:
        return {}
    here = os.environ.get("PYTHONPATH", "")
    return {"PYTHONPATH": os.pathsep.join(filter(None, [str(folder_of(version, kept)), here]))}
