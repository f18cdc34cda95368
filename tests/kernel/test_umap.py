"""Maps by umap-learn, which is installed into a folder of its own: it is large, and few want it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from other_packages import folder_of, path_with

WITH_UMAP = Path(__file__).with_name("with_umap.py")
PACKAGES = ["umap-learn>=0.5.7", "pynndescent", "numba", "llvmlite"]


@pytest.mark.real  # 190 MB are fetched
@pytest.mark.slow
@pytest.mark.timeout(400)  # it compiles
def test_umap_puts_vectors_into_a_plane(pytestconfig):
    folder = folder_of("umap", PACKAGES, pytestconfig.cache.mkdir("maps"))

    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(WITH_UMAP)],
        cwd=WITH_UMAP.parents[2],
        env={**os.environ, **path_with(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=360,
    )

    assert run.returncode == 0, run.stdout + run.stderr
    assert "1 passed" in run.stdout
