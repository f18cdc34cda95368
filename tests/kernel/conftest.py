from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # the modules that the tests here share

from cells import Cells
from other_ollama import OtherOllama

NAMES_A_SERVER = ("JUPYTER_OLLAMA_URL", "JUPYTER_OLLAMA_TOKEN", "JUPYTERHUB_API_TOKEN")
OURS = (*NAMES_A_SERVER, "OLLAMA_HOST", "OLLAMA_API_KEY", "OLLAMA_NB_MODEL", "JPY_PARENT_PID")


@pytest.fixture(autouse=True)
def _clean(monkeypatch, tmp_path):
    """Keep the tests away from the user's servers and out of one another's records."""
    for name in OURS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    yield
    from ollama_nb import connection, preferences, statistics

    connection._drop()
    connection._current.explicit = None
    statistics.forget()
    preferences.settings.model = preferences.settings.live = None


@pytest.fixture
def other():
    server = OtherOllama()
    yield server
    server.stop()


@pytest.fixture
def connected(other):
    import ollama_nb

    ollama_nb.connect(other.url)
    return other


def kernel_environ(url: str, home: Path, **more: str) -> dict[str, str]:
    """Return the environment of a kernel that finds the server at `url` and no home of a user."""
    kept = {name: value for name, value in os.environ.items() if name not in OURS}
    places = {"JUPYTER_RUNTIME_DIR": str(home / "runtime"), "IPYTHONDIR": str(home / "ipython")}
    return {**kept, **places, "OLLAMA_HOST": url, **more}


@pytest.fixture(scope="module")
def other_for_cells():
    server = OtherOllama()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def cells(other_for_cells, tmp_path_factory):
    """A kernel connected to the other server."""
    kernel = Cells(kernel_environ(other_for_cells.url, tmp_path_factory.mktemp("home")))
    yield kernel
    kernel.close()
