from __future__ import annotations

from pathlib import Path

import pytest
from ollama_nb_server.library.store import Store


@pytest.fixture
def store(store_dir: Path) -> Store:
    return Store(store_dir)
