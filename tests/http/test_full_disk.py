"""A disk that is really full: what was there stays, and the error says what to do."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

SMALL = "size=5M"  # holds the bundled model, and not twice
FULL = (
    "No space left on device; free some disk space, or let OLLAMA_MODELS name a folder on another"
)


def test_a_full_disk_costs_nothing_that_was_there(start_on_a_disk: Callable) -> None:
    client, models = start_on_a_disk(SMALL)
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


def test_a_read_only_store_says_what_to_do(start_on_a_disk: Callable) -> None:
    client, _ = start_on_a_disk("ro")

    answers = [
        client.post("/api/create", json={"model": "x", "from": "demo", "stream": False}),
        client.post(f"/api/blobs/sha256:{hashlib.sha256(b'x').hexdigest()}", content=b"x"),
        client.post("/api/show", json={"model": "demo"}),
    ]

    assert [answer.status_code for answer in answers] == [500, 500, 500]
    for answer in answers:
        assert "Read-only file system" in answer.json()["error"]
        assert "let OLLAMA_MODELS name another folder" in answer.json()["error"]
    assert client.get("/api/tags").json() == {"models": []}
