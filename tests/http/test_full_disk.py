"""A disk that is really full: what was there stays, and the error says what to do."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

SIZE_MB = 5  # holds the bundled model, and not twice
FULL = (
    "No space left on device; free some disk space, or let OLLAMA_MODELS name a folder on another"
)


def in_a_namespace(command: str) -> list[str]:
    """The command as one that may mount: root does it at once, others in a user namespace."""
    own = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *own, "--mount", "sh", "-c", command]


def can_mount(folder: Path) -> bool:
    if shutil.which("unshare") is None:
        return False
    command = in_a_namespace(f"mount -t tmpfs none '{folder}'")
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.fixture
def small_disk(tmp_path: Path, eventually: Callable) -> Iterator[tuple[httpx.Client, Path]]:
    """A client of a server whose store is a small disk, and that disk's folder."""
    models, facts = tmp_path / "models", tmp_path / "facts.json"
    models.mkdir()
    if not can_mount(models):
        assert os.environ.get("CI") != "true", "unshare cannot mount a file system"
        pytest.skip("this machine lets nobody mount a file system of their own")
    mount = f"mount -t tmpfs -o size={SIZE_MB}M none '{models}'"
    serve = f"'{sys.executable}' -m ollama_nb_server serve --port 0 --runtime-file '{facts}'"
    settings = {"OLLAMA_MODELS": str(models), "OLLAMA_NB_CACHE": str(tmp_path / "cache")}
    process = subprocess.Popen(
        in_a_namespace(f"{mount} && exec {serve}"),
        env={**os.environ, **settings},
        stderr=subprocess.DEVNULL,
    )
    try:
        eventually(facts.exists, "the server")
        url = json.loads(facts.read_text())["url"]
        with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
            yield client, Path(f"/proc/{process.pid}/root{models}")
    finally:
        process.terminate()
        process.wait(15)


def test_a_full_disk_costs_nothing_that_was_there(small_disk: tuple[httpx.Client, Path]) -> None:
    client, models = small_disk
    big, model = bytes(3_000_000), {"from": "demo", "stream": False}
    kept = client.post("/api/create", json={**model, "model": "kept", "system": "Kept."})
    address = f"/api/blobs/sha256:{hashlib.sha256(big).hexdigest()}"

    sent = client.post(address, content=big)
    created = client.post("/api/create", json={**model, "model": "new", "license": big.decode()})
    small = client.post("/api/create", json={**model, "model": "small", "system": "Small."})

    assert (kept.status_code, sent.status_code, created.status_code) == (200, 500, 500)
    assert FULL in sent.json()["error"]
    assert FULL in created.json()["error"]
    assert small.status_code == 200, "what fits goes in"
    assert client.post("/api/show", json={"model": "kept"}).json()["system"] == "Kept."
    assert client.head(address).status_code == 404
    assert [p.name for p in (models / "blobs").iterdir() if len(p.name) < 30] == []
