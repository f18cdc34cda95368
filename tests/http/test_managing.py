from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace

import httpx
import numpy as np
import pytest
from gguf import GGUFWriter
from ollama_nb_server.library.manifest import CONFIG_TYPE, LAYER_TYPE, Config, Layer, Manifest
from ollama_nb_server.library.names import ModelName
from ollama_nb_server.library.store import Store

SHOW_KEYS = [
    "license", "modelfile", "parameters", "template", "system", "details", "messages", "model_info",
    "projector_info", "tensors", "capabilities", "modified_at", "requires",
]  # fmt: skip
TAGS_KEYS = ["name", "model", "modified_at", "size", "digest", "details", "capabilities"]
DETAILS_KEYS = ["parent_model", "format", "family", "families", "parameter_size", "quantization_level"]  # fmt: skip


def projector(folder: Path) -> bytes:
    path = folder / "projector.gguf"
    writer = GGUFWriter(path, "clip")
    writer.add_type("mmproj")
    writer.add_bool("clip.has_audio_encoder", True)
    writer.add_array("clip.vision.image_mean", [0.5, 0.25, 0.125])
    writer.add_tensor("v.a", np.zeros((2, 32), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path.read_bytes()


def put(store: Store, name: str, config: Config, *parts: tuple[str, bytes]) -> None:
    data = config.encode()
    digest, _ = store.blobs.add(data)
    layers = tuple(
        Layer(f"{LAYER_TYPE}{kind}", store.blobs.add(content)[0], len(content))
        for kind, content in parts
    )
    manifest = Manifest(Layer(CONFIG_TYPE, digest, len(data)), layers)
    store.manifests.put(ModelName.parse(name), manifest.encode())


@pytest.fixture(scope="module")
def application(start_server, tmp_path_factory, demo_gguf: Path) -> Iterator[SimpleNamespace]:
    """A server over a store in which there are models of every kind."""
    folder = tmp_path_factory.mktemp("managing")
    store = Store(folder / "models")
    weights = ("model", demo_gguf.read_bytes())
    config = Config("gguf", "llama", ("llama",), "1M", "F16", requires="0.14.0")
    everything = [
        weights,
        ("license", b"First"),
        ("license", b"Second"),
        ("system", b'Say "hi"\nor not'),
        ("template", b"{{ .System }} {{ .Prompt }}"),
        ("params", b'{"stop":["<a>","b"],"temperature":0.5,"num_ctx":1048576}'),
        ("messages", b'[{"role":"user","content":"Who?","images":null}]'),
        ("adapter", b"an adapter"),
        ("draft", b"a draft"),
        ("projector", projector(folder)),
    ]
    put(store, "whole", config, *everything)
    put(store, "plain", config, weights)
    put(store, "eye", config, ("projector", projector(folder)))
    stub = Config("gguf", "big", None, "671B", "MXFP4", remote_host="https://ollama.com", remote_model="big:671b", capabilities=("completion",), context_length=9000, base_name="Big")  # fmt: skip
    put(store, "stub", stub)
    put(store, "broken", config, ("model", b"GGUF but not really"))
    put(store, "gone", config, ("model", b"soon away"))
    store.blobs.path(store.manifests.of(ModelName.parse("gone")).layers[0].digest).unlink()
    server = start_server(OLLAMA_MODELS=str(store.root), OLLAMA_NB_CACHE=str(folder / "cache"))
    with server.client() as client:
        yield SimpleNamespace(client=client, store=store, folder=folder, server=server)


@pytest.fixture(scope="module")
def client(application) -> httpx.Client:
    return application.client


def entries(client: httpx.Client) -> dict[str, dict]:
    models = client.get("/api/tags").raise_for_status().json()["models"]
    return {entry["name"]: entry for entry in models}


def show(client: httpx.Client, name: str, **more: object) -> dict:
    return client.post("/api/show", json={"model": name, **more}).raise_for_status().json()


# --- tags -----------------------------------------------------------------------------------------


def test_every_model_is_listed_broken_or_not(client: httpx.Client) -> None:
    found = entries(client)

    assert set(found) == {
        f"{n}:latest" for n in ("whole", "plain", "eye", "stub", "broken", "gone")
    }
    assert list(found["plain:latest"]) == TAGS_KEYS
    assert list(found["plain:latest"]["details"]) == [*DETAILS_KEYS, "context_length", "embedding_length"]  # fmt: skip


@pytest.mark.parametrize("name", ["broken:latest", "gone:latest"])
def test_a_broken_model_has_no_capabilities_in_the_list(name: str, client: httpx.Client) -> None:
    entry = entries(client)[name]

    assert "capabilities" not in entry
    assert list(entry["details"]) == DETAILS_KEYS
    assert entry["details"]["family"] == "llama"


def test_a_model_of_the_cloud_says_where_it_is(client: httpx.Client) -> None:
    entry = entries(client)["stub:latest"]

    assert list(entry)[2:5] == ["remote_model", "remote_host", "modified_at"]
    assert (entry["remote_model"], entry["remote_host"]) == ("big:671b", "https://ollama.com")
    assert entry["details"] == {
        "parent_model": "", "format": "gguf", "family": "big", "families": None,
        "parameter_size": "671B", "quantization_level": "MXFP4", "context_length": 9000,
    }  # fmt: skip


def test_what_is_listed_can_do_what_show_says(client: httpx.Client) -> None:
    listed = entries(client)["whole:latest"]
    shown = show(client, "whole")

    assert listed["capabilities"] == shown["capabilities"] == ["completion", "vision", "audio"]
    assert listed["modified_at"] == shown["modified_at"]
    assert {key: listed["details"][key] for key in DETAILS_KEYS} == shown["details"]


def test_a_list_without_a_working_cache(start_server, application, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    server = start_server(OLLAMA_MODELS=str(application.store.root), OLLAMA_NB_CACHE=str(tmp_path / "file"))  # fmt: skip

    with server.client() as client:
        assert entries(client) == entries(application.client)
    assert server.log.read_text().count("is not used now") == 1


def test_the_cache_lies_where_it_is_told(client: httpx.Client, application) -> None:
    entries(client)

    assert (application.folder / "cache" / "headers.sqlite").is_file()
    assert not list(application.store.root.rglob("*.sqlite*"))


# --- show -----------------------------------------------------------------------------------------


def test_all_fields_in_their_order(client: httpx.Client) -> None:
    shown = show(client, "whole")

    assert list(shown) == SHOW_KEYS
    assert shown["license"] == "First\nSecond"
    assert shown["system"] == 'Say "hi"\nor not'
    assert shown["template"] == "{{ .System }} {{ .Prompt }}"
    assert shown["messages"] == [{"role": "user", "content": "Who?"}]
    assert shown["requires"] == "0.14.0"
    assert shown["parameters"].splitlines() == [
        f"{'num_ctx':<30} 1.048576e+06",
        f'{"stop":<30} "<a>"',
        f'{"stop":<30} "b"',
        f"{'temperature':<30} 0.5",
    ]


def test_a_plain_model_has_only_what_it_has(client: httpx.Client) -> None:
    without = {"license", "parameters", "system", "messages", "projector_info"}

    assert list(show(client, "plain")) == [key for key in SHOW_KEYS if key not in without]


def test_the_modelfile_names_every_file(client: httpx.Client, application) -> None:
    blobs = str(application.store.blobs.folder)
    lines = show(client, "whole")["modelfile"].replace(blobs, "<blobs>").splitlines()
    words = [line.split(" ")[0] for line in lines if line and line[0] != "#"]

    assert words[:5] == ["FROM", "ADAPTER", "DRAFT", "FROM", "TEMPLATE"]
    assert all("<blobs>/sha256-" in line for line in lines[4:8])
    assert lines[2] == "# FROM whole:latest"


def test_a_projector_is_shown_with_its_metadata(client: httpx.Client) -> None:
    facts = {
        "clip.has_audio_encoder": True,
        "clip.vision.image_mean": None,
        "general.architecture": "clip",
        "general.type": "mmproj",
    }

    assert show(client, "whole")["projector_info"] == facts
    means = show(client, "whole", verbose=True)["projector_info"]["clip.vision.image_mean"]
    assert means == [0.5, 0.25, 0.125]


def test_arrays_are_there_when_asked_for(client: httpx.Client) -> None:
    brief, verbose = show(client, "plain"), show(client, "plain", verbose=True)
    lists = {key for key, value in verbose["model_info"].items() if isinstance(value, list)}

    assert {"tokenizer.ggml.tokens", "tokenizer.ggml.token_type"} <= lists
    assert {key for key, value in brief["model_info"].items() if value is None} == lists
    assert len(verbose["model_info"]["tokenizer.ggml.tokens"]) > 1000
    assert brief | {"model_info": 0} == verbose | {"model_info": 0}
    assert list(brief["model_info"]) == sorted(brief["model_info"])


def test_tensors_have_name_type_and_shape(client: httpx.Client) -> None:
    shown = show(client, "plain")
    total = sum(int(np.prod(tensor["shape"])) for tensor in shown["tensors"])

    assert all(list(tensor) == ["name", "type", "shape"] for tensor in shown["tensors"])
    assert shown["model_info"]["general.parameter_count"] == total


def test_a_model_of_the_cloud_is_shown_from_its_config(client: httpx.Client) -> None:
    shown = show(client, "stub")

    assert list(shown) == ["details", "remote_model", "remote_host", "model_info", "capabilities", "modified_at"]  # fmt: skip
    assert shown["model_info"] == {
        "general.architecture": "big",
        "general.basename": "Big",
        "big.context_length": 9000,
    }


@pytest.mark.parametrize(
    ("name", "status", "sentence"),
    [
        ("eye", 404, "model 'eye:latest' not found"),
        ("stub:local", 404, "model 'stub:latest' not found"),
        (
            "broken",
            500,
            "cannot be read, pull or create the model again: supplied file was not in GGUF",
        ),
        ("gone", 404, 'blob "sha256:'),
    ],
)
def test_what_cannot_be_shown_says_why(
    name: str, status: int, sentence: str, client: httpx.Client
) -> None:
    answer = client.post("/api/show", json={"model": name})

    assert (answer.status_code, sentence in answer.json()["error"]) == (status, True), answer.text


def test_a_model_of_the_cloud_cannot_be_run(client: httpx.Client) -> None:
    answer = client.post("/api/chat", json={"model": "stub"})

    assert answer.status_code == 403
    assert answer.json()["error"] == "ollama cloud is disabled: remote model is unavailable"


def test_a_model_in_the_cloud_is_not_here(client: httpx.Client) -> None:
    answer = client.post("/api/chat", json={"model": "stub:local"})

    assert (answer.status_code, answer.json()["error"]) == (404, "model 'stub:local' not found")


def test_copilot_finds_the_name_that_it_asked_for(client: httpx.Client) -> None:
    answer = client.post(
        "/api/show", json={"model": "plain"}, headers={"User-Agent": "GitHubCopilotChat/1.0"}
    )

    assert answer.json()["model_info"]["general.basename"] == "plain"
    assert show(client, "plain")["model_info"].get("general.basename") != "plain"


# --- ps -------------------------------------------------------------------------------------------


def loaded(client: httpx.Client) -> list[dict]:
    return client.get("/api/ps").raise_for_status().json()["models"]


def expires(entry: dict) -> datetime:
    return datetime.fromisoformat(entry["expires_at"].split(".")[0].rstrip("Z")).replace(
        tzinfo=timezone.utc
    )


@pytest.fixture
def own(start_server, demo_gguf: Path, tmp_path: Path) -> Iterator[httpx.Client]:
    """A server of its own: what is loaded must be nobody else's; `workers` are its processes."""
    store = Store(tmp_path / "models")
    put(store, "first", Config("gguf", "llama", ("llama",), "1M", "F16"), ("model", demo_gguf.read_bytes()))  # fmt: skip
    server = start_server(OLLAMA_MODELS=str(store.root), TZ="UTC")
    with server.client() as client:
        client.workers = server.workers
        yield client


def test_a_loaded_model_tells_what_takes_its_memory_to_who_asks(own: httpx.Client) -> None:
    own.post("/api/generate", json={"model": "first", "prompt": "Hi", "stream": False, "options": {"num_predict": 2}})  # fmt: skip
    extras = {"X-Ollama-Nb-Extras": "1"}

    (entry,) = own.get("/api/ps", headers=extras).json()["models"]

    memory = entry["nb"]
    slots = memory["num_slots"] * memory["slot_bytes"]
    assert memory["weight_bytes"] + slots + memory["buffer_bytes"] == entry["size"]
    assert min(memory["weight_bytes"], memory["slot_bytes"], memory["buffer_bytes"]) > 0
    assert memory["num_slots"] < memory["max_slots"]  # the rest comes when it is needed
    assert memory["num_live"] + memory["num_idle"] <= memory["num_slots"]
    (plain,) = loaded(own)
    assert list(plain) == [key for key in entry if key != "nb"]


def test_what_is_loaded_has_the_details_of_the_model_that_loaded_it(own: httpx.Client) -> None:
    own.post("/api/generate", json={"model": "first", "keep_alive": "10m"}).raise_for_status()
    own.post("/api/copy", json={"source": "first", "destination": "second"})
    own.post("/api/generate", json={"model": "second", "keep_alive": "10m"}).raise_for_status()

    (entry,) = loaded(own)

    assert list(entry) == ["name", "model", "size", "digest", "details", "expires_at", "size_vram", "context_length"]  # fmt: skip
    assert entry["name"] == entry["model"] == "first:latest"
    assert (len(entry["digest"]), entry["size_vram"]) == (64, 0)
    assert entry["size"] > 0
    assert list(entry["details"]) == DETAILS_KEYS
    left = expires(entry) - datetime.now(timezone.utc)
    assert timedelta(minutes=9) < left < timedelta(minutes=11)


def test_a_model_that_was_deleted_goes_by_its_other_name_then_it_goes(
    own: httpx.Client, eventually
) -> None:
    own.post("/api/generate", json={"model": "first", "keep_alive": "10m"}).raise_for_status()
    own.post("/api/copy", json={"source": "first", "destination": "second"})
    (before,) = loaded(own)

    own.request("DELETE", "/api/delete", json={"model": "first"}).raise_for_status()
    (after,) = loaded(own)
    own.request("DELETE", "/api/delete", json={"model": "second"}).raise_for_status()

    assert (before["name"], after["name"], after["model"]) == (
        "first:latest",
        "second:latest",
        "second:latest",
    )
    assert after["digest"] == before["digest"]
    assert loaded(own) == []
    eventually(lambda: not own.workers(), "the end of its worker", 20)


def test_a_model_that_is_deleted_while_it_answers_answers_to_the_end(
    own: httpx.Client, eventually
) -> None:
    """It is not listed from that moment on; its worker ends when the answer has."""
    options = {"num_predict": 400, "temperature": 5, "top_k": 0, "top_p": 1, "seed": 1}
    asked = {"model": "first", "prompt": "Once", "raw": True, "options": options, "keep_alive": -1}
    with (
        httpx.Client(base_url=own.base_url, trust_env=False, timeout=60) as client,
        client.stream("POST", "/api/generate", json=asked) as answer,
    ):
        lines = answer.iter_lines()
        next(lines)
        own.request("DELETE", "/api/delete", json={"model": "first"}).raise_for_status()
        assert loaded(own) == []
        *_, last = lines

    assert '"done":true' in last
    eventually(lambda: not own.workers(), "the end of its worker", 20)
    again = own.post("/api/generate", json={"model": "first"})
    assert again.status_code == 404


def keep_busy(url: httpx.URL, seed: int, began: threading.Event) -> None:
    """One long answer; how long it is depends on the seed."""
    options = {"temperature": 5, "top_k": 0, "top_p": 1, "seed": seed, "num_predict": 100_000}
    body = {"model": "first", "prompt": "Once", "raw": True, "options": options}
    with (
        httpx.Client(base_url=url, trust_env=False, timeout=60) as client,
        client.stream("POST", "/api/generate", json=body) as answer,
    ):
        for _ in answer.iter_lines():
            began.set()


def test_a_busy_model_that_was_unloaded_stays_until_it_is_idle(
    own: httpx.Client, eventually
) -> None:
    began = threading.Event()
    talks = [
        threading.Thread(target=keep_busy, args=(own.base_url, seed, began)) for seed in range(16)
    ]
    for talk in talks:
        talk.start()
    assert began.wait(30)

    own.post("/api/generate", json={"model": "first", "keep_alive": 0}).raise_for_status()
    (entry,) = loaded(own)

    assert expires(entry) <= datetime.now(timezone.utc) + timedelta(seconds=1)
    for talk in talks:
        talk.join(60)
    eventually(lambda: loaded(own) == [], "the end of the model", 20)


def test_a_model_is_listed_while_it_loads(own: httpx.Client, demo_gguf: Path, eventually) -> None:
    loading = threading.Thread(
        target=own.post, args=("/api/generate",), kwargs={"json": {"model": "first", "keep_alive": "10m"}}
    )  # fmt: skip
    with httpx.Client(base_url=own.base_url, trust_env=False, timeout=60) as other:
        loading.start()
        (entry,) = eventually(lambda: loaded(other), "the model in the list", 20)
        loading.join()

    assert entry["name"] == "first:latest"
    assert entry["size"] >= demo_gguf.stat().st_size
    assert expires(entry) - datetime.now(timezone.utc) > timedelta(minutes=9)
