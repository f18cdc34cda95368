"""Servers that several people share."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import people


@pytest.fixture(scope="module")
def share(
    start_server: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[people.Sharing]:
    """Start a server that several people share: see `people.Sharing`."""
    yield from people.sharing(start_server, tmp_path_factory.mktemp)
