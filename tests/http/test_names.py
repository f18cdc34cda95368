"""Names with a suffix of the cloud: a model here that is called so counts before the suffix."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from ollama_nb_server.library.names import ModelName
from ollama_nb_server.library.store import Store

NAMES = ["x:397b-cloud", "x:cloud", "x:local"]
CLOUD = "ollama cloud is disabled: remote model is unavailable"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("names"))


@pytest.fixture(scope="module")
def server(start_server, store: Store) -> Iterator[httpx.Client]:
    with start_server(OLLAMA_MODELS=str(store.root)).client() as client:
        client.post("/api/show", json={"model": "demo"}).raise_for_status()
        for name in NAMES:
            copied = client.post("/api/copy", json={"source": "demo", "destination": name})
            assert copied.is_success, copied.text
        yield client


def listed(server: httpx.Client) -> set[str]:
    return {model["name"] for model in server.get("/api/tags").json()["models"]}


def test_a_copy_has_exactly_the_name_that_was_asked_for(server: httpx.Client) -> None:
    assert listed(server) >= set(NAMES)


@pytest.mark.parametrize("name", [*NAMES, "X:397B-CLOUD", " x:397b:cloud "])
@pytest.mark.parametrize(
    ("verb", "fields"),
    [
        ("show", {}),
        ("generate", {"prompt": "Once", "stream": False, "options": {"num_predict": 1}}),
        ("chat", {"messages": [], "stream": False}),
        ("embed", {"input": "Once"}),
    ],
)
def test_a_model_here_is_asked_whatever_its_name(server, name, verb, fields) -> None:
    answer = server.post(f"/api/{verb}", json={"model": name, **fields})

    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("name", NAMES)
def test_the_old_endpoint_finds_it_in_its_own_spelling(server: httpx.Client, name: str) -> None:
    right = server.post("/api/embeddings", json={"model": name, "prompt": "Once"})
    other = server.post("/api/embeddings", json={"model": name.upper(), "prompt": "Once"})

    assert (right.status_code, other.is_success) == (200, False)


@pytest.mark.parametrize("source", [{"from": "x:397b-cloud"}, {"modelfile": "FROM x:397b-cloud"}])
def test_a_model_is_made_of_it_and_named_so(server: httpx.Client, source: dict) -> None:
    made = {"model": "y:8b-cloud", "stream": False, **source}

    assert server.post("/api/create", json=made).json() == {"status": "success"}
    assert "y:8b-cloud" in listed(server)
    assert "y:8b" not in listed(server)


@pytest.mark.parametrize(
    ("verb", "fields"),
    [
        ("generate", {"model": "demo:cloud"}),
        ("chat", {"model": "demo:latest-cloud"}),
        ("embed", {"model": "nothing:8b-cloud"}),
        ("embeddings", {"model": "demo:cloud"}),
        ("pull", {"model": "demo:cloud"}),
        ("create", {"model": "z", "from": "demo:cloud"}),
    ],
)
def test_what_is_not_here_is_in_the_cloud_though_its_base_is_here(server, verb, fields) -> None:
    answer = server.post(f"/api/{verb}", json=fields)

    assert (answer.status_code, answer.json()["error"]) == (403, CLOUD)


@pytest.mark.parametrize("name", ["demo:cloud", "demo:latest:cloud", "demo:latest-cloud"])
def test_a_name_of_the_cloud_neither_copies_nor_deletes_another_model(server, name: str) -> None:
    copied = server.post("/api/copy", json={"source": name, "destination": "z"})
    deleted = server.request("DELETE", "/api/delete", json={"model": name})

    assert copied.status_code == deleted.status_code == 404
    assert deleted.json() == {"error": f"model '{name}' not found"}
    assert "demo:latest" in listed(server)


def test_it_is_deleted_by_its_name(server: httpx.Client, store: Store) -> None:
    for name in ("gone:8b-cloud", "gone:8b"):
        server.post("/api/copy", json={"source": "demo", "destination": name}).raise_for_status()

    server.request("DELETE", "/api/delete", json={"model": "gone:8b:cloud"}).raise_for_status()

    assert not store.has(ModelName.parse("gone:8b-cloud"))
    assert store.has(ModelName.parse("gone:8b"))


def test_a_pull_of_a_model_that_is_here_asks_its_registry(server: httpx.Client) -> None:
    name = "127.0.0.1:1/u/x:8b-cloud"
    server.post("/api/copy", json={"source": "demo", "destination": name}).raise_for_status()

    answer = server.post("/api/pull", json={"model": name, "insecure": True, "stream": False})

    assert "/v2/u/x/manifests/8b-cloud" in answer.json()["error"]
