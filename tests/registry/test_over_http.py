"""pull and push through a real server: streams, statuses, and what a killed server leaves."""

from __future__ import annotations

import hashlib
import json
import random
import signal
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from far import Far, digest_of, slow
from ollama_nb_server.library.names import ModelName
from ollama_nb_server.library.store import Store

MB = 1_000_000


def lines(answer: httpx.Response) -> list[dict]:
    return [json.loads(line) for line in answer.text.splitlines()]


def pull(client: httpx.Client, name: str, **fields: object) -> httpx.Response:
    return client.post("/api/pull", json={"model": name, "insecure": True, **fields})


def test_a_model_goes_to_a_stock_registry_and_comes_back(client: httpx.Client, stock: str) -> None:
    name = f"{stock}/u/there-and-back:v1"
    made = {"model": name, "from": "demo", "system": "Be kind.", "stream": False}
    assert client.post("/api/create", json=made).is_success
    before = client.post("/api/show", json={"model": name}).json()

    pushed = client.post("/api/push", json={"model": name, "insecure": True})
    assert client.request("DELETE", "/api/delete", json={"model": name}).is_success
    pulled = pull(client, name)

    assert (
        pushed.headers["content-type"] == pulled.headers["content-type"] == "application/x-ndjson"
    )
    assert lines(pushed)[-2:] == [{"status": "pushing manifest"}, {"status": "success"}]
    told = list(dict.fromkeys(line["status"] for line in lines(pulled)))
    assert (told[0], told[-3:]) == (
        "pulling manifest",
        ["verifying sha256 digest", "writing manifest", "success"],
    )
    after = client.post("/api/show", json={"model": name}).json()
    assert {k: v for k, v in after.items() if k != "modified_at"} == {
        k: v for k, v in before.items() if k != "modified_at"
    }
    asked = {"model": name, "prompt": "Hi", "stream": False, "options": {"num_predict": 2}}
    assert client.post("/api/generate", json=asked).json()["eval_count"] == 2


def test_without_a_stream_only_the_end_is_told(client: httpx.Client, far: Far) -> None:
    answer = pull(client, far.publish(b"w"), stream=False)

    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {"status": "success"}


def test_the_old_field_name_works(client: httpx.Client, far: Far) -> None:
    request = {"name": far.publish(b"w"), "insecure": True, "stream": False}

    assert client.post("/api/pull", json=request).json() == {"status": "success"}


@pytest.mark.parametrize(
    ("verb", "fields", "status", "error"),
    [
        ("pull", {}, 400, "invalid model name"),
        ("pull", {"model": "a b"}, 400, "invalid model name"),
        ("pull", {"model": "x:cloud"}, 403, "ollama cloud is disabled: remote model is unavailable"),
        ("pull", {"model": "x:cloud:local"}, 400, "use either :local or :cloud, not both"),
        ("push", {}, 400, "model is required"),
    ],
)  # fmt: skip
def test_bad_names_are_refused_before_a_stream(
    client: httpx.Client, verb: str, fields: dict, status: int, error: str
) -> None:
    answer = client.post(f"/api/{verb}", json=fields)

    assert (answer.status_code, error in answer.json()["error"]) == (status, True), answer.text


def test_an_unknown_model_is_an_error_line_or_a_status(client: httpx.Client, far: Far) -> None:
    name = f"{far.host}/u/m:no-such-tag"

    assert lines(pull(client, name)) == [
        {"status": "pulling manifest"},
        {"error": "pull model manifest: file does not exist"},
    ]
    assert pull(client, name, stream=False).status_code == 500


@pytest.mark.parametrize("name", ["a b", "nothing-of-that-name"])
def test_a_push_of_nothing_ends_with_an_error_line(client: httpx.Client, name: str) -> None:
    first, second, last = lines(client.post("/api/push", json={"model": name}))

    assert [first["status"], second["status"]] == [
        "retrieving manifest",
        "couldn't retrieve manifest",
    ]
    assert last["error"]


def test_create_pulls_what_it_is_made_from(
    start_server: Callable, stock: str, client: httpx.Client, tmp_path: Path
) -> None:
    with start_server(OLLAMA_MODELS=str(tmp_path)).client() as other:
        answer = other.post("/api/create", json={"model": "x", "from": f"{stock}/u/no-such"})

    first, second = lines(answer)
    assert first == {"status": "pulling manifest"}
    assert second["error"].startswith("pull model manifest: ")
    assert "https://" in second["error"], "never without TLS"


@pytest.fixture
def big() -> bytes:
    """A blob of two parts of Ollama's size."""
    return random.Random(7).randbytes(1 * MB) * 150


def test_a_killed_server_goes_on_where_it_was(
    start_server: Callable, far: Far, big: bytes, tmp_path: Path, eventually: Callable
) -> None:
    name, models = far.publish(big), tmp_path / "models"
    far.misbehave("GET", digest_of(big), slow(0.0005), times=2)
    server = start_server(OLLAMA_MODELS=str(models), HOME=str(tmp_path))
    partial = models / "blobs" / f"sha256-{digest_of(big)[7:]}-partial"
    with server.client() as client:
        body = {"model": name, "insecure": True}
        with client.stream("POST", "/api/pull", json=body) as answer:
            progress = (json.loads(line) for line in answer.iter_lines())
            next(line for line in progress if line.get("completed", 0) > 60 * MB)
            server.process.send_signal(signal.SIGKILL)
            server.process.wait()
    states = [json.loads(p.read_text()) for p in models.glob("blobs/*-partial-*")]
    kept = sum(state["Completed"] for state in states)
    far.seen.clear()

    with start_server(OLLAMA_MODELS=str(models), HOME=str(tmp_path)).client() as client:
        assert client.get("/api/tags").json() == {"models": []}
        assert pull(client, name, stream=False).json() == {"status": "success"}

    asked = sum(end - start + 1 for start, end in far.ranges())
    assert kept > 16 * MB, "most of what had come was known to have come"
    assert asked <= len(big) - kept + 1000
    blob = models / "blobs" / f"sha256-{digest_of(big)[7:]}"
    assert hashlib.sha256(blob.read_bytes()).hexdigest() == digest_of(big)[7:]
    assert not partial.exists()


def test_two_pulls_and_a_delete_at_once_leave_a_whole_store(
    start_server: Callable, far: Far, tmp_path: Path
) -> None:
    weights = random.Random(8).randbytes(4 * MB)
    name = far.publish(weights, system=b"Be kind.")
    far.misbehave("GET", digest_of(weights), slow(0.001), times=100)
    server = start_server(OLLAMA_MODELS=str(tmp_path), HOME=str(tmp_path))
    body = {"model": name, "insecure": True}
    with (
        server.client() as one,
        server.client() as two,
        one.stream("POST", "/api/pull", json=body) as first,
        two.stream("POST", "/api/pull", json=body) as second,
    ):
        began = next(first.iter_lines())
        with server.client() as three:
            three.request("DELETE", "/api/delete", json={"model": name})
        *_, end = second.iter_lines()

    assert "pulling manifest" in began
    assert json.loads(end) == {"status": "success"}
    store = Store(tmp_path)
    manifest = store.manifests.of(ModelName.parse(name))
    assert manifest is not None
    assert all(store.blobs.has(digest) for digest in manifest.digests)


def test_a_disk_without_room_is_said_before_the_download(
    start_on_a_disk: Callable, far: Far
) -> None:
    client, models = start_on_a_disk("size=5M")

    answer = pull(client, far.publish(random.Random(2).randbytes(10 * MB)), stream=False)

    assert answer.status_code == 500
    assert "no space left in the model store" in answer.json()["error"]
    assert far.ranges() == []
    assert list((models / "blobs").glob("*")) == []


def test_a_disk_that_becomes_full_ends_a_download_that_goes_on_later(
    start_on_a_disk: Callable, far: Far
) -> None:
    client, models = start_on_a_disk("size=8M")
    weights, filler = random.Random(3).randbytes(6 * MB), bytes(5 * MB)
    name = far.publish(weights)
    far.misbehave("GET", digest_of(weights), slow(0.003))

    with client.stream("POST", "/api/pull", json={"model": name, "insecure": True}) as answer:
        told = answer.iter_lines()
        next(line for line in told if '"completed"' in line)
        sent = client.post(f"/api/blobs/{digest_of(filler)}", content=filler)
        *_, end = told
    left = [path.name for path in (models / "blobs").iterdir()]
    (models / "blobs" / f"sha256-{digest_of(filler)[7:]}").unlink()

    assert sent.status_code == 201
    assert "No space left on device; free some disk space" in json.loads(end)["error"]
    assert [name for name in left if len(name) < 30] == [], "no temporary file takes up room"
    assert pull(client, name, stream=False).json() == {"status": "success"}


def test_a_pull_into_a_read_only_store_says_what_to_do(start_on_a_disk: Callable, far: Far) -> None:
    client, _ = start_on_a_disk("ro")

    answer = pull(client, far.publish(b"w"), stream=False)

    assert answer.status_code == 500
    assert "Read-only file system" in answer.json()["error"]
    assert "let OLLAMA_MODELS name another folder" in answer.json()["error"]
