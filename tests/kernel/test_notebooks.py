"""The tutorials run, and are saved with their outputs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from cells import kernel_environ

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


@pytest.fixture(scope="module")
def new_server(start_server):
    """A server as a new user has it: with the bundled model only, not with those of other tests."""
    return start_server()


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.name)
def test_the_notebook_runs(notebook, new_server, tmp_path):
    command = [sys.executable, "-m", "pytest", "--nbval-lax", "-q", "-p", "no:cacheprovider"]
    command += ["-c", "/dev/null", "--rootdir", str(notebook.parent), str(notebook)]

    run = subprocess.run(
        command,
        env=kernel_environ(new_server.url, tmp_path),
        capture_output=True,
        text=True,
        timeout=150,
    )

    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.name)
def test_the_notebook_is_saved_with_outputs(notebook):
    cells = nbformat.read(notebook, as_version=4).cells

    assert any(cell.get("outputs") for cell in cells)
    assert not [cell for cell in cells for output in cell.get("outputs", []) if "ename" in output]
