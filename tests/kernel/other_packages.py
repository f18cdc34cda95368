"""Packages that the environment does not have, or has in another version: in folders of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest


def folder_of(name: str, packages: list[str], kept: Path) -> Path:
    """Return the folder with these packages, and nothing that they need; fetched if it is not there.

    Where CI is true they must come.
    """
    folder = kept / name
    if not folder.exists():
        with TemporaryDirectory(dir=kept) as part:
            _fetch(packages, part)
            Path(part).rename(folder)
            Path(part).mkdir()
    return folder


def path_with(folder: Path) -> dict[str, str]:
    """Return what in the environment has a folder's packages found first."""
    here = os.environ.get("PYTHONPATH", "")
    return {"PYTHONPATH": os.pathsep.join(filter(None, [str(folder), here]))}


def _fetch(packages: list[str], folder: str) -> None:
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-compile"]
    command += ["--only-binary", ":all:", "--target", folder, *packages]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        assert os.environ.get("CI") != "true", done.stderr
        pytest.skip(f"{', '.join(packages)} cannot be fetched here")
