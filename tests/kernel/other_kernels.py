"""Other versions of ipykernel than the installed one, each in a folder of its own."""

from __future__ import annotations

from pathlib import Path

import other_packages

NEWEST = "newest"  # the one that is installed
VERSIONS = ("6.29.5", "7.0.1", NEWEST)


def path_with(version: str, kept: Path) -> dict[str, str]:
    """Return what in the environment has kernels be of this version."""
    if version == NEWEST:
        return {}
    # what it needs the installed one needs too, all but one package
    packages = [f"ipykernel=={version}", "nest-asyncio"]
    return other_packages.path_with(other_packages.folder_of(version, packages, kept))
