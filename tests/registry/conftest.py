"""Registries to pull from: the tests' own, and Debian's; and the room under test, in a hurry."""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from ollama_nb_server.library.names import ModelName
from ollama_nb_server.library.store import Store
from ollama_nb_server.registry import Limits, Progress, Transfers

sys.path.insert(0, str(Path(__file__).parent))

from far import Far, far_registry

PART_BYTES = 64 * 1024
QUICK = Limits(
    min_part_bytes=PART_BYTES,
    first_pause_s=0.002,
    progress_bytes=PART_BYTES,
    stall_s=0.3,
    head_s=1.0,
    stagger_s=0.0,
    checkpoint_bytes=16 * 1024,
    orphan_s=0.1,
    foreign_s=0.4,
)


@pytest.fixture
def far() -> Iterator[Far]:
    """A registry of our own that can be told to misbehave."""
    with far_registry() as far:
        yield far


@pytest.fixture(scope="session")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Debian's registry; its host and port."""
    program = shutil.which("docker-registry")
    if program is None:
        assert os.environ.get("CI") != "true", "docker-registry is missing"
        pytest.skip("docker-registry is not installed: apt-get install docker-registry")
    folder = tmp_path_factory.mktemp("docker-registry")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    settings = {
        "version": 0.1,
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": {"addr": address},
    }
    (folder / "config.yml").write_text(json.dumps(settings))  # JSON is YAML
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, "serve", str(folder / "config.yml")], stdout=log, stderr=log
        )
    try:
        _until_it_answers(address, process)
        yield address
    finally:
        process.terminate()
        process.wait(15)


def _until_it_answers(address: str, process: subprocess.Popen[bytes]) -> None:
    with httpx.Client(transport=httpx.HTTPTransport(retries=8), trust_env=False) as client:
        answer = client.get(f"http://{address}/v2/")
    assert answer.is_success, answer.text
    assert process.poll() is None


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
