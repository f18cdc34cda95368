"""A disk that is really full: what was there stays, and the error says what to do."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress

from ollama_nb_server.sharing.tokens import TokenFile

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


def test_requests_are_answered_where_the_accounts_have_no_room(
    start_on_a_disk: Callable, eventually: Callable, monkeypatch, tmp_path
) -> None:
    file = TokenFile(tmp_path / "tokens.json")
    token = file.add("ana", is_admin=False)
    monkeypatch.setenv("OLLAMA_NB_TOKENS", str(file.path))
    client, models = start_on_a_disk(SMALL)
    client.headers["Authorization"] = f"Bearer {token}"
    log = tmp_path / "log"

    def ask() -> int:
        body = {"model": "demo", "prompt": "Hi", "stream": False, "options": {"num_predict": 1}}
        return client.post("/api/generate", json=body).status_code

    def usage() -> list[dict]:
        return client.get("/api/usage").raise_for_status().json()["requests"]

    assert ask() == 200
    num_asked = 1
    filler = (models / "filler").open("wb", buffering=0)
    with suppress(OSError):
        while filler.write(bytes(4096)):
            pass
    statuses = []
    while "cannot be written" not in log.read_text():
        statuses.append(ask())
        num_asked += 1
        assert num_asked < 500, "there was room for all of them"
    statuses += [ask() for _ in range(20)]
    num_asked += 20
    filler.close()
    (models / "filler").unlink()
    eventually(lambda: "is written again; 0 records were lost" in log.read_text(), "the news", 20)

    assert set(statuses) == {200}
    assert log.read_text().count("cannot be written; requests go on meanwhile") == 1
    assert ask() == 200
    assert [row["status"] for row in usage()] == ["finished"] * (num_asked + 1)
