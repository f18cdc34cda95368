"""Registries to pull from: the tests' own, and Debian's; and the room under test, in a hurry."""

from __future__ import annotations

import random
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from ollama_nb_server.library.names import ModelName
from ollama_nb_server.library.store import Store
from ollama_nb_server.registry import Limits, Progress, Transfers

sys.path.insert(0, str(Path(__file__).parent))

from far import PART_BYTES, QUICK, Far, far_registry


@pytest.fixture
def far() -> Iterator[Far]:
    """A registry of our own that can be told to misbehave."""
    with far_registry() as far:
        yield far


@dataclass
class Here:
    """This side: a store, a key, and transfers with small numbers."""

    store: Store
    home: Path
    transfers: Transfers

    def pull(self, name: str) -> AsyncIterator[Progress]:
        return self.transfers.pull(ModelName.parse(name), insecure=True)

    def push(self, name: str) -> AsyncIterator[Progress]:
        return self.transfers.push(ModelName.parse(name), insecure=True)

    async def pulled(self, name: str) -> list[Progress]:
        return [progress async for progress in self.pull(name)]

    async def pushed(self, name: str) -> list[Progress]:
        return [progress async for progress in self.push(name)]

    def blobs(self) -> list[str]:
        """The names of all files among the blobs."""
        folder = self.store.blobs.folder
        return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@pytest_asyncio.fixture
async def make_here(tmp_path: Path) -> AsyncIterator[Callable[..., Here]]:
    """Makes this side; `make_here("other")` another one with a store of its own."""
    made: list[Here] = []

    def make(folder: str = "models", limits: Limits = QUICK, *, removes: bool = True) -> Here:
        store = Store(tmp_path / folder, removes=removes)
        home = tmp_path / "home" / ".ollama"
        made.append(Here(store, home, Transfers(store, home, "ollama/0 (amd64 linux)", limits)))
        return made[-1]

    yield make
    for here in made:
        await here.transfers.close()


@pytest.fixture
def here(make_here: Callable[..., Here]) -> Here:
    return make_here()


@pytest.fixture(scope="session")
def weights() -> bytes:
    """A blob of four parts and a bit."""
    return random.Random(4).randbytes(4 * PART_BYTES + 1000)
