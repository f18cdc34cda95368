from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # the modules that the tests here share

from cells import OURS, Cells, kernel_environ
from other_ollama import OtherOllama


@pytest.fixture(autouse=True)
def _clean(monkeypatch, tmp_path):
    """Keep the tests away from the user's servers and out of one another's records."""
    for name in OURS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("OLLAMA_NB_CACHE", str(tmp_path / "cache"))
    yield
    from ollama_nb.answers import statistics
    from ollama_nb.connection import current, preferences

    current._drop()
    current._current.explicit = None
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
