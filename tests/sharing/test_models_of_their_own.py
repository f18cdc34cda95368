"""Private names over a shared store: `brief` of alice is `alice/brief`, and hers alone."""

from __future__ import annotations

import hashlib
import http.client
from pathlib import Path

import gguf
import httpx
import numpy as np
import pytest
from ollama_nb_server.library.names import ModelName
from ollama_nb_server.sharing.namespaces import namespace, user_of
from people import ADMIN, Shared

PEOPLE = {"eve": ADMIN, "alice": (), "bob": (), "Cy@uni.example": ()}
CONFIG = 'max_private_mb = 4\nmodels = {"secret" = ["none"]}\n'
ASK = {"prompt": "Once", "stream": False, "options": {"num_predict": 1}}


@pytest.fixture(scope="module")
def shared(share) -> Shared:
    return share(CONFIG, PEOPLE, ("secret", "common"))


def make(shared: Shared, who: str, name: str, **fields: object):
    body = {"model": name, "from": "demo", "stream": False, **fields}
    return shared[who].post("/api/create", json=body)


def system(shared: Shared, who: str, name: str) -> str | None:
    answer = shared[who].post("/api/show", json={"model": name})
    return answer.json().get("system") if answer.is_success else None


def listed(shared: Shared, who: str, route: str = "tags") -> set[str]:
    models = shared[who].get(f"/api/{route}").raise_for_status().json()["models"]
    return {model["name"].removesuffix(":latest") for model in models}


def upload(shared: Shared, who: str, data: bytes):
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    alone = {"Connection": "close"}  # a refusal in mid-body ends the connection: none is used again
    return digest, shared[who].post(f"/api/blobs/{digest}", content=data, headers=alone)


def test_two_users_have_one_name_for_models_of_their_own(shared) -> None:
    for who in ("alice", "bob", "Cy@uni.example"):
        assert make(shared, who, "brief", system=f"of {who}").is_success
        assert shared[who].post("/api/generate", json={"model": "brief", **ASK}).is_success

    for who in ("alice", "bob", "Cy@uni.example"):
        assert system(shared, who, "brief") == system(shared, who, "BRIEF") == f"of {who}"
        assert system(shared, who, f"{namespace(who)}/brief") == f"of {who}"
        assert listed(shared, who) == {"demo", "common", "brief"}
        assert listed(shared, who, "ps") <= {"brief", "demo", "common"}
    theirs = {f"{namespace(who)}/brief" for who in ("alice", "bob", "Cy@uni.example")}
    assert listed(shared, "eve") == {"demo", "common", "secret", *theirs}
    assert system(shared, "eve", "alice/brief") == "of alice"
    assert system(shared, "eve", "brief") is None


@pytest.mark.parametrize("name", ["alice/hers", "ALICE/hers", "registry.ollama.ai/alice/hers"])
def test_nobody_else_can_see_use_copy_change_or_delete_it(shared, name: str) -> None:
    make(shared, "alice", "hers", system="a secret").raise_for_status()
    bob = shared["bob"]

    for verb, fields in (("show", {}), ("generate", ASK), ("embed", {"input": "a"})):
        assert bob.post(f"/api/{verb}", json={"model": name, **fields}).status_code == 404
    assert bob.request("DELETE", "/api/delete", json={"model": name}).status_code == 404
    copied = bob.post("/api/copy", json={"source": name, "destination": "mine"})
    assert copied.status_code == 404
    assert make(shared, "bob", "mine", **{"from": name}).status_code == 404
    assert make(shared, "bob", name).status_code == 403
    assert system(shared, "alice", "hers") == "a secret"


@pytest.mark.parametrize("name", ["common", "library/common", "hf.co/alice/m", "secret"])
def test_what_all_share_is_changed_by_who_manages_only(shared, name: str) -> None:
    alice = shared["alice"]
    copied = alice.post("/api/copy", json={"source": "demo", "destination": f"library/{name[-6:]}"})
    deleted = alice.request("DELETE", "/api/delete", json={"model": name})

    assert copied.status_code == 403
    assert "alice may not make" in copied.json()["error"]
    assert deleted.status_code in (403, 404)
    assert {"common", "secret"} <= listed(shared, "eve")


def test_their_own_hides_a_shared_model_of_that_name(shared) -> None:
    make(shared, "alice", "common", system="mine", **{"from": "common"}).raise_for_status()

    assert system(shared, "alice", "common") == "mine"
    assert system(shared, "alice", "library/common") is None
    assert system(shared, "bob", "common") is None
    names = [m["name"] for m in shared["alice"].get("/api/tags").json()["models"]]
    assert names.count("common:latest") == 1
    shared["alice"].request("DELETE", "/api/delete", json={"model": "common"}).raise_for_status()
    assert "common" in listed(shared, "alice")


def test_copies_and_deletions_are_of_their_own(shared) -> None:
    alice = shared["alice"]
    alice.post("/api/copy", json={"source": "demo", "destination": "twin"}).raise_for_status()
    assert "twin" in listed(shared, "alice")
    assert "twin" not in listed(shared, "bob")
    alice.request("DELETE", "/api/delete", json={"model": "twin"}).raise_for_status()
    assert "twin" not in listed(shared, "alice")
    assert alice.post("/api/generate", json={"model": "demo", **ASK}).is_success


def test_who_manages_may_make_it_everybodys(shared) -> None:
    make(shared, "alice", "gift", system="for all").raise_for_status()
    eve = shared["eve"]
    eve.post("/api/copy", json={"source": "alice/gift", "destination": "gift"}).raise_for_status()

    assert system(shared, "bob", "gift") == "for all"
    eve.request("DELETE", "/api/delete", json={"model": "gift"}).raise_for_status()


def test_shared_layers_do_not_count_and_their_own_do(shared, demo_gguf) -> None:
    size = demo_gguf.stat().st_size
    for number in range(5):  # of 3.2 MB each, if they counted
        assert make(shared, "bob", f"small{number}", system=f"{number}").is_success
    big = "x" * (4_000_000 - size)
    refused = make(shared, "bob", "big", system="y" * 4_100_000)

    assert refused.status_code == 507
    assert "4.0 MB are allowed" in refused.json()["error"]
    assert "small0" in refused.json()["error"]
    assert make(shared, "bob", "big", system=big).is_success
    assert "big" in listed(shared, "bob")
    for name in listed(shared, "bob") - {"demo", "common", "brief"}:
        shared["bob"].request("DELETE", "/api/delete", json={"model": name}).raise_for_status()


def test_uploads_count_and_are_refused_before_their_bytes(shared) -> None:
    _, refused = upload(shared, "bob", bytes(4_100_000))
    one, taken = upload(shared, "bob", bytes(2_500_000))
    _, second = upload(shared, "bob", b"x" * 2_500_000)

    assert (refused.status_code, taken.status_code, second.status_code) == (507, 201, 507)
    assert shared["bob"].head(f"/api/blobs/{one}").status_code == 200


def begun_upload(shared: Shared, who: str, data: bytes) -> http.client.HTTPConnection:
    """An upload that the server has begun to read; its first byte is sent."""
    url = httpx.URL(shared.server.url)
    connection = http.client.HTTPConnection(url.host, url.port, timeout=60)
    connection.putrequest("POST", f"/api/blobs/sha256:{hashlib.sha256(data).hexdigest()}")
    connection.putheader("Authorization", f"Bearer {shared.tokens[who]}")
    connection.putheader("Content-Length", str(len(data)))
    connection.endheaders(data[:1])
    return connection


def test_uploads_side_by_side_take_no_more_than_one_after_another(share, eventually) -> None:
    shared = share("max_private_mb = 4", {"alice": ()})
    contents = [bytes([number]) * 2_500_000 for number in range(3)]
    uploads = [begun_upload(shared, "alice", data) for data in contents]
    parts = shared.store.blobs.folder
    eventually(lambda: len(list(parts.glob("sha256-*"))) >= 3, "three uploads that have begun")

    answers = []
    for upload, data in zip(uploads, contents, strict=True):
        upload.send(data[1:])
        answers.append(upload.getresponse().status)
        upload.close()

    assert answers == [201, 507, 507]


def test_a_spelling_that_only_the_file_system_takes_for_hers_is_hers(shared) -> None:
    make(shared, "alice", "cased", system="of alice").raise_for_status()
    registry = shared.store.manifests.folder / "registry.ollama.ai"
    (registry / "ALICE").symlink_to("alice")  # as where files have no case
    try:
        seen = [system(shared, who, "ALICE/cased") for who in ("alice", "bob", "eve")]
    finally:
        (registry / "ALICE").unlink()

    assert seen == ["of alice", None, "of alice"]


def test_a_blob_is_there_for_who_has_its_bytes(shared, demo_gguf) -> None:
    data = b"of alice alone"
    digest, sent = upload(shared, "alice", data)
    assert sent.status_code == 201

    assert shared["bob"].head(f"/api/blobs/{digest}").status_code == 404
    files = {"adapters": {"a.gguf": digest}}
    assert "not found" in make(shared, "bob", "thief", **files).json()["error"]
    lied = shared["bob"].post(f"/api/blobs/{digest}", content=b"other bytes")
    assert lied.status_code == 400
    assert shared["bob"].head(f"/api/blobs/{digest}").status_code == 404
    assert upload(shared, "bob", data)[1].is_success
    assert shared["bob"].head(f"/api/blobs/{digest}").status_code == 200


def test_a_gguf_file_of_their_own_is_a_model_and_no_upload_any_more(share, pieces_gguf) -> None:
    shared = share("max_private_mb = 4", {"alice": ()})
    digest, sent = upload(shared, "alice", pieces_gguf.read_bytes())
    assert sent.is_success
    body = {"model": "mine", "files": {"m.gguf": digest}, "stream": False}

    made = shared["alice"].post("/api/create", json=body)

    assert made.is_success, made.text
    used = {d.colon for d in shared.store.manifests.of(ModelName.parse("alice/mine")).digests}
    blobs = {path.name.replace("-", ":") for path in shared.store.blobs.folder.iterdir()}
    assert digest not in blobs - used, "llama.cpp has written it anew; what was sent goes"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"quantize": "q4_K_M"}, "may not quantize"),
        ({"from": None, "files": {"model.safetensors": "sha256:" + "0" * 64}}, "may not convert"),
    ],
)
def test_what_costs_the_server_minutes_is_for_who_manages(shared, fields: dict, said: str) -> None:
    answer = make(shared, "alice", "costly", **fields)

    assert (answer.status_code, said in answer.json()["error"]) == (403, True)


@pytest.mark.parametrize("source", ["nowhere", "secret", "bob/brief"])
def test_from_names_what_is_there_and_nothing_is_pulled(shared, source: str) -> None:
    fields = make(shared, "alice", "x", **{"from": source})
    text = shared["alice"].post(
        "/api/create", json={"model": "x", "modelfile": f"FROM {source}", "stream": False}
    )

    assert (fields.status_code, text.status_code) == (404, 404)


def test_pulling_and_pushing_are_for_who_manages(shared) -> None:
    make(shared, "alice", "pushed").raise_for_status()
    for verb in ("pull", "push"):
        answer = shared["alice"].post(f"/api/{verb}", json={"model": "alice/pushed"})
        assert answer.status_code == 403


def test_without_room_there_are_none(share) -> None:
    shared = share("max_private_mb = 0", {"alice": ()})

    assert make(shared, "alice", "brief").status_code == 403


def test_a_modelfile_loads_nothing_anew_for_others(share) -> None:
    shared = share("", {"alice": (), "bob": ()})
    bob, alice = shared["bob"], shared["alice"]
    bob.post("/api/generate", json={"model": "demo", **ASK}).raise_for_status()
    (before,) = shared.server.workers()
    parameters = {"num_ctx": 64, "num_batch": 64, "rope_frequency_base": 5000.0}
    make(shared, "alice", "brief", parameters=parameters).raise_for_status()

    answer = alice.post("/api/generate", json={"model": "brief", **ASK})

    assert answer.is_success, answer.text
    assert [worker.pid for worker in shared.server.workers()] == [before.pid]
    assert "num_batch" in answer.headers["X-Ollama-Nb-Warnings"]
    assert "rope_frequency_base" in answer.headers["X-Ollama-Nb-Warnings"]


@pytest.mark.parametrize(
    ("user", "name"),
    [
        ("alice", "alice"), ("a_b-c", "a_b-c"), ("_x", "_x"), ("Ana", "__41na"),
        ("ana@uni", "ana__40uni"), ("a__b", "a__5f__5fb"), ("library", "__6cibrary"),
        ("-a", "__2da"), ("ä", "__c3__a4"), ("a/b", "a__2fb"), ("a.b", "a__2eb"),
    ],
)  # fmt: skip
def test_namespaces_can_be_read_back(user: str, name: str) -> None:
    assert namespace(user) == name
    assert user_of(name) == user
    assert ModelName.parse(f"{name}/brief").namespace == name


def test_long_names_have_namespaces_of_their_own() -> None:
    one, other = "Ä" * 100, "Ä" * 101

    assert namespace(one) != namespace(other)
    assert ModelName.parse(f"{namespace(one)}/brief")
    assert user_of(namespace(one)) is None


def lora(demo_gguf: Path, path: Path) -> bytes:
    """An adapter of rank 4 for one matrix of the bundled model."""
    target = "blk.0.attn_q.weight"
    reader = gguf.GGUFReader(demo_gguf)
    num_in, num_out = next(t.shape for t in reader.tensors if t.name == target)
    writer, chance = gguf.GGUFWriter(path, "llama"), np.random.default_rng(1)
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 4.0)
    for name, shape in (("lora_a", (4, num_in)), ("lora_b", (num_out, 4))):
        writer.add_tensor(f"{target}.{name}", chance.normal(size=shape).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path.read_bytes()


def test_an_adapter_of_their_own_has_a_worker_beside_the_one_of_all(
    share, demo_gguf, tmp_path
) -> None:
    shared = share("", {"alice": (), "bob": ()})
    digest, sent = upload(shared, "alice", lora(demo_gguf, tmp_path / "lora.gguf"))
    assert sent.is_success
    make(shared, "alice", "tuned", adapters={"lora.gguf": digest}).raise_for_status()
    shared["bob"].post("/api/generate", json={"model": "demo", **ASK}).raise_for_status()
    (before,) = shared.server.workers()

    for who, model in (("alice", "tuned"), ("bob", "demo"), ("alice", "tuned")):
        answer = shared[who].post("/api/generate", json={"model": model, **ASK})
        assert answer.is_success, answer.text

    assert len(shared.server.workers()) == 2
    assert before.is_running()
    assert listed(shared, "alice", "ps") == {"demo", "tuned"}
    assert [m["name"] for m in shared["bob"].get("/api/ps").json()["models"]] == ["demo:latest"]
