from __future__ import annotations

import hashlib
import logging
import os
import threading
import time
from pathlib import Path

import pytest
from ollama_nb_server.library import gojson
from ollama_nb_server.library.assembling import digest_of
from ollama_nb_server.library.create import Recipe, create
from ollama_nb_server.library.errors import BlobNotFound, LibraryError, ModelNotFound, RemoteModel
from ollama_nb_server.library.manifest import CONFIG_TYPE, LAYER_TYPE, Config, Layer, Manifest
from ollama_nb_server.library.model import Entry
from ollama_nb_server.library.names import ModelName
from ollama_nb_server.library.store import Store

DEMO = ModelName.parse("demo")


@pytest.fixture
def store(store_dir: Path, tmp_path: Path) -> Store:
    return Store(store_dir, cache=tmp_path / "cache")


def made(store: Store, name: str, **facts: object) -> ModelName:
    parsed = ModelName.parse(name)
    list(create(store, Recipe(name=parsed, source=DEMO, **facts)))
    return parsed


def put(store: Store, name: str, config: bytes, *layers: Layer) -> ModelName:
    """A model as somebody else may have written it."""
    digest, _ = store.blobs.add(config)
    parsed = ModelName.parse(name)
    store.manifests.put(parsed, Manifest(Layer(CONFIG_TYPE, digest, len(config)), layers).encode())
    return parsed


def listed(store: Store, name: str) -> Entry:
    return next(entry for entry in store.models() if entry.name.display == f"{name}:latest")


def names(store: Store) -> list[str]:
    return [entry.name.model for entry in store.models()]


def dated(store: Store, name: ModelName, seconds: float) -> None:
    os.utime(store.manifests.path(name), (seconds, seconds))


def test_an_entry_has_what_the_whole_model_has(store: Store) -> None:
    name = made(store, "m", template="{{ .Suffix }}{{ .Tools }}", system="x")

    model, entry = store.model(name), listed(store, "m")

    assert (entry.digest, entry.details) == (model.digest, model.details)
    assert entry.capabilities == model.capabilities
    assert entry.size == model.manifest.size
    assert entry.modified_at == model.modified_at


def test_the_newest_is_first_and_a_second_is_one_time(store: Store) -> None:
    for name, seconds in [("old", 100.9), ("b", 200.9), ("a", 200.1), ("new", 300.0)]:
        dated(store, made(store, name), seconds)
    dated(store, DEMO, 50)

    assert names(store) == ["new", "a", "b", "old", "demo"]


def test_what_another_process_changes_is_seen_at_once(store: Store, store_dir: Path) -> None:
    made(store, "a")
    assert set(names(store)) == {"a", "demo"}
    other = Store(store_dir)

    name = made(other, "b", system="one")
    first = listed(store, "b")
    made(other, "b", system="two")
    second = listed(store, "b")
    other.delete(name, "b")

    assert first.digest != second.digest
    assert set(names(store)) == {"a", "demo"}


def test_a_listing_reads_no_file_twice(store: Store, store_dir: Path, tmp_path: Path) -> None:
    model = store.model(DEMO)
    store.models()
    size = model.weights.stat().st_size
    model.weights.write_bytes(b"no GGUF file any more".ljust(size))

    again, restarted = store.models(), Store(store_dir, cache=tmp_path / "cache").models()

    assert again == restarted
    assert again[0].capabilities == model.capabilities != ()


def test_a_manifest_that_is_being_written_is_waited_for(store: Store) -> None:
    path = store.manifests.path(made(store, "m"))
    data = path.read_bytes()
    path.write_bytes(data[:50])
    writer = threading.Timer(0.015, path.write_bytes, [data])
    writer.start()

    assert set(names(store)) == {"m", "demo"}
    writer.join()


# --- what is broken -------------------------------------------------------------------------------


def weights_gone(store: Store, name: ModelName) -> None:
    store.model(name).weights.unlink()


def weights_broken(store: Store, name: ModelName) -> None:
    store.model(name).weights.write_bytes(b"not a GGUF file at all")


def config_gone(store: Store, name: ModelName) -> None:
    store.blobs.path(store.model(name).manifest.config.digest).unlink()


def config_broken(store: Store, name: ModelName) -> None:
    store.blobs.path(store.model(name).manifest.config.digest).write_bytes(b'{"model_family": 5}')


@pytest.mark.parametrize(
    ("break_it", "family", "capable"),
    [
        (weights_gone, "llama", False),
        (weights_broken, "llama", False),
        (config_gone, "llama", True),
        (config_broken, "llama", True),
    ],
)
def test_a_broken_model_is_listed_with_what_is_known(
    break_it, family: str, capable: bool, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    break_it(store, made(store, "m"))
    fresh = Store(store.root)

    entry = listed(fresh, "m")
    listed(fresh, "m")

    assert entry.details.family == family
    assert bool(entry.capabilities) == capable
    told = [r for r in caplog.records if r.levelno == logging.WARNING and "/m/latest" in r.message]
    assert len(told) == 1, "once, not at each call"
    with pytest.raises(LibraryError):
        fresh.model(entry.name)


def test_a_repaired_model_is_seen(store: Store) -> None:
    weights = store.model(made(store, "m")).weights
    away = weights.rename(weights.with_name("away"))
    assert listed(store, "m").capabilities == ()

    away.rename(weights)

    assert "completion" in listed(store, "m").capabilities


def test_using_a_broken_model_names_the_missing_blob(store: Store) -> None:
    name = made(store, "m")
    digest = store.model(name).weights_digest
    weights_gone(store, name)

    with pytest.raises(BlobNotFound, match=digest.colon):
        store.model(name)


@pytest.mark.parametrize(
    "config",
    [
        b"[]", b"null", b'{"model_families": "llama"}', b'{"model_families": [1]}',
        b'{"context_length": 1e400}', b'{"context_length": true}', b'{"context_length": -1}',
        b'{"context_length": 99999999999999999999999}', b'{"file_type": "\\ud800"}',
        b'{"capabilities": ["\\udfff"]}', b'{"draft": []}', b"\xff", b"[" * 100_000,
    ],
)  # fmt: skip
def test_a_hostile_config_breaks_only_its_own_model(config: bytes, store: Store) -> None:
    store.model(DEMO)
    put(store, "bad", config)

    assert set(names(store)) == {"bad", "demo"}
    assert listed(store, "bad").details.family == ""


@pytest.mark.parametrize(
    "size", ["-1", "1e30", "1e400", "99999999999999999999", "NaN", '"x"', "null"]
)
def test_a_manifest_with_an_impossible_size_is_none(size: str, store: Store) -> None:
    data = store.manifests.path(store.model(DEMO).name).read_bytes()
    whole = data.replace(b'"size":', b'"size":' + size.encode() + b',"was":')
    store.manifests.put(ModelName.parse("bad"), whole)

    assert names(store) == ["demo"]


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("params", b"[]"), ("params", b'{"a": 1' + b"0" * 400 + b"}"), ("params", b'{"a": NaN}'),
        ("params", b"[" * 100_000), ("messages", b"{}"), ("messages", b'["hi"]'),
        ("messages", b'[{"role": 1}]'), ("system", b"x" * (17 << 20)),
    ],
)  # fmt: skip
def test_a_hostile_part_is_told_when_the_model_is_used(
    kind: str, content: bytes, store: Store
) -> None:
    weights = store.model(DEMO).manifest.layers[0]
    digest, _ = store.blobs.add(content)
    name = put(store, "bad", b"{}", weights, Layer(f"{LAYER_TYPE}{kind}", digest, len(content)))

    assert "completion" in listed(store, "bad").capabilities
    with pytest.raises(LibraryError):
        store.model(name)


def test_half_a_letter_becomes_the_replacement_letter(store: Store) -> None:
    weights = store.model(DEMO).manifest.layers[0]
    digest, _ = store.blobs.add(b'{"stop": ["a\\ud83d", "\\ud83d\\ude00"]}')
    name = put(store, "m", b"{}", weights, Layer(f"{LAYER_TYPE}params", digest, 1))

    assert store.model(name).parameters == {"stop": ["a\ufffd", "😀"]}


# --- the cloud, projectors, digests ---------------------------------------------------------------


def test_a_model_of_the_cloud_is_listed_and_cannot_be_used(store: Store) -> None:
    config = Config(model_format="gguf", model_family="big", model_type="671B", remote_host="https://ollama.com", remote_model="big:671b", capabilities=("completion", "tools"), context_length=1000, embedding_length=70)  # fmt: skip
    name = put(store, "stub", config.encode())

    entry = listed(store, "stub")

    assert entry.is_remote
    assert (entry.details.context_length, entry.details.embedding_length) == (1000, 70)
    assert entry.capabilities == ("completion", "tools")
    with pytest.raises(RemoteModel):
        store.model(name)


def test_a_projector_alone_is_listed_and_is_no_model(store: Store) -> None:
    weights = store.model(DEMO).manifest.layers[0]
    projector = Layer(f"{LAYER_TYPE}projector", weights.digest, weights.size)
    name = put(store, "eye", b"{}", projector)

    assert listed(store, "eye").capabilities == ("vision",)
    with pytest.raises(ModelNotFound):
        store.model(name)


@pytest.mark.parametrize(
    ("source", "parent"),
    [
        ("", ""), ("a.gguf", ""), ("/blobs/sha256-00", ""), ("/a/b:c", ""), ("llama3:latest", "llama3:latest"),
        ("u/m:t", "u/m:t"), ("hf.co/u/m:Q4", "hf.co/u/m:Q4"), ("C:\\models\\m.gguf", ""), ("weights", ""),
    ],
)  # fmt: skip
def test_the_parent_is_a_model_not_a_file(source: str, parent: str, store: Store) -> None:
    weights = store.model(DEMO).manifest.layers[0]
    put(store, "m", b"{}", Layer(weights.media_type, weights.digest, weights.size, source))

    assert listed(store, "m").details.parent_model == parent


@pytest.mark.parametrize("length", [255, 256, 257, 512, 1000, 1024, 2048, 4096, 8192])
def test_a_digest_is_that_of_what_gos_decoder_reads(length: int) -> None:
    text = gojson.encode("x" * (length - 2)).removesuffix(b"\n")
    boundary = length in (256, 512, 1024, 2048, 4096)

    assert len(text) == length
    assert digest_of(text) == hashlib.sha256(text).hexdigest()
    assert digest_of(text + b"\n") == hashlib.sha256(text if boundary else text + b"\n").hexdigest()


def test_a_list_of_many_models_is_quick(store: Store) -> None:
    weights = store.model(DEMO).manifest.layers[0]
    for i in range(200):
        put(store, f"m{i}", b'{"model_family": "llama"}', weights)
    store.models()

    began = time.process_time()
    for _ in range(5):
        store.models()

    assert (time.process_time() - began) / 5 < 0.05, "4 ms of work where nothing has changed"
