from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ollama_nb_server.library import gguf
from ollama_nb_server.library.create import Recipe, create
from ollama_nb_server.library.errors import (
    BadLicense,
    BlobNotFound,
    InvalidDigest,
    ModelNotFound,
    NotGGUF,
    NothingToCreateFrom,
    NotRelative,
    UnknownFileType,
)
from ollama_nb_server.library.names import ModelName
from ollama_nb_server.library.store import Store

NAME, DEMO = ModelName.parse("made"), ModelName.parse("demo")


@pytest.fixture
def store(store_dir: Path) -> Store:
    return Store(store_dir)


def files(store: Store) -> set[str]:
    return {str(p.relative_to(store.root)) for p in store.root.rglob("*") if p.is_file()}


def made(store: Store, **facts: object) -> list[str]:
    recipe = Recipe(name=facts.pop("name", NAME), source=DEMO, **facts)
    return [progress.status for progress in create(store, recipe)]


def test_an_empty_store_has_no_models(store: Store) -> None:
    assert store.models() == []


def test_the_bundled_model_is_installed_when_it_is_asked_for(store: Store) -> None:
    assert store.model(DEMO).metadata.architecture == "llama"
    assert [model.name for model in store.models()] == [DEMO]


def test_another_missing_model_is_not_found(store: Store) -> None:
    with pytest.raises(ModelNotFound):
        store.model(NAME)


def test_a_model_from_another_one_inherits_and_adds(store: Store) -> None:
    made(store, system="Be brief.", parameters={"temperature": 0, "stop": ["a"]})
    second = ModelName.parse("second")
    said = [p.status for p in create(store, Recipe(name=second, source=NAME, license=["L1", "L2"], parameters={"stop": ["b"]}, messages=[{"role": "user", "content": "hi"}]))]  # fmt: skip

    model = store.model(second)
    assert (model.system, model.parent) == ("Be brief.", "made:latest")
    assert model.parameters == {"temperature": 0, "stop": ["b"]}
    assert (model.licenses, model.messages) == (("L1", "L2"), ({"role": "user", "content": "hi"},))
    assert said[-2:] == ["writing manifest", "success"]


def test_a_model_from_a_file(store: Store, demo_gguf: Path) -> None:
    digest = store.blobs.add_file(demo_gguf)
    said = [p.status for p in create(store, Recipe(name=NAME, files={"a.gguf": digest.colon}))]

    assert list(dict.fromkeys(said))[:3] == [
        "parsing GGUF",
        "validating GGUF model",
        "verifying conversion",
    ]
    written = store.model(NAME)
    assert {t.name: (t.shape, t.kind) for t in written.metadata.tensors} == {
        t.name: (t.shape, t.kind) for t in gguf.read(demo_gguf).tensors
    }


def test_a_file_that_llama_cpp_wrote_stays_as_it_is(store: Store, demo_gguf: Path) -> None:
    digest = store.blobs.add_file(demo_gguf)
    list(create(store, Recipe(name=NAME, files={"a.gguf": digest.colon})))
    written = store.model(NAME).weights_digest
    list(create(store, Recipe(name=NAME, files={"b.gguf": written.colon})))

    assert store.model(NAME).weights_digest == written != digest


@pytest.mark.parametrize(
    ("facts", "error"),
    [
        ({}, NothingToCreateFrom),
        ({"files": {}}, UnknownFileType),
        ({"files": {"../a.gguf": "sha256:x"}}, NotRelative),
        ({"files": {"/a.gguf": "sha256:x"}}, NotRelative),
        ({"files": {"a.gguf": ""}}, InvalidDigest),
        ({"files": {"a.gguf": "sha256:x"}}, InvalidDigest),
        ({"files": {"a.gguf": f"sha256:{'0' * 64}"}}, BlobNotFound),
        ({"source": DEMO, "license": 5}, BadLicense),
        ({"source": ModelName.parse("nope")}, ModelNotFound),
    ],
)
def test_bad_recipes_leave_no_model(store: Store, facts: dict, error: type[Exception]) -> None:
    with pytest.raises(error):
        list(create(store, Recipe(name=NAME, **facts)))

    assert not store.names() or NAME not in store.names()


@pytest.mark.parametrize("data", [b"", b"GGUF", b"GGUF" + bytes(60), b"something else"])
def test_a_file_that_is_no_gguf_leaves_no_model(store: Store, data: bytes) -> None:
    digest, _ = store.blobs.add(data)

    with pytest.raises(NotGGUF):
        list(create(store, Recipe(name=NAME, files={"a.gguf": digest.colon})))
    assert store.names() == []


def test_copies_share_blobs_and_deleting_one_keeps_them(store: Store) -> None:
    made(store, system="Hi.")
    store.copy(NAME, ModelName.parse("u/copy:v2"), "made")
    store.delete(NAME, "made")

    assert store.model(ModelName.parse("u/copy:v2")).system == "Hi."


def test_deleting_the_last_user_of_a_blob_removes_it(store: Store) -> None:
    store.model(DEMO)
    before = files(store)
    made(store, system="Only here.")
    store.delete(NAME, "made")

    assert files(store) == before


def test_replacing_a_model_removes_what_only_it_used(store: Store) -> None:
    made(store, system="Old.")
    old = files(store)
    made(store, system="New.")

    assert len(files(store)) == len(old)


def test_an_unreadable_manifest_stops_all_removing(store: Store) -> None:
    made(store, system="Kept.")
    strange = store.root / "manifests" / "h" / "n" / "m" / "t"
    strange.parent.mkdir(parents=True)
    strange.write_text("{")
    before = files(store)
    store.delete(NAME, "made")

    assert before - files(store) == {"manifests/registry.ollama.ai/library/made/latest"}


def test_strange_files_are_left_out_of_the_list(store: Store) -> None:
    store.model(DEMO)
    for path in ("h/n/m/.DS_Store", "h/n/m/cut"):
        file = store.root / "manifests" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("")

    assert [model.name for model in store.models()] == [DEMO]


def test_manifests_and_blobs_have_ollamas_layout(store: Store) -> None:
    model = store.model(DEMO)
    manifest = store.root / "manifests/registry.ollama.ai/library/demo/latest"

    assert json.loads(manifest.read_bytes())["schemaVersion"] == 2
    assert model.weights.name == f"sha256-{model.weights_digest.hex}"
    assert manifest.read_bytes().endswith(b"\n")


def test_a_symbolic_link_is_no_blob(store: Store, tmp_path: Path) -> None:
    digest, _ = store.blobs.add(b"data")
    secret = tmp_path / "secret"
    secret.write_text("x")
    store.blobs.path(digest).unlink()
    store.blobs.path(digest).symlink_to(secret)

    assert not store.blobs.has(digest)


KILLED = """
import sys, time
from pathlib import Path
from ollama_nb_server.library.store import Store
with Store(Path(sys.argv[1])).blobs.writer() as writer:
    while True:
        writer.write(bytes(1 << 16)); print("writing", flush=True); time.sleep(0.01)
"""


def test_a_killed_writer_leaves_the_store_whole(store: Store) -> None:
    store.model(DEMO)
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(store.root)], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()

    assert [model.name for model in store.models()] == [DEMO]
    left = [p for p in store.blobs.folder.iterdir() if len(p.name) < 30]
    assert len(left) == 1, "one temporary file, in the form that Ollama prunes"


COPYING = """
import sys
from pathlib import Path
from ollama_nb_server.library.names import ModelName
from ollama_nb_server.library.store import Store
store, made, copy = Store(Path(sys.argv[1])), ModelName.parse("made"), ModelName.parse("copy")
while True:
    store.copy(made, copy, "made"); print("copied", flush=True); store.delete(copy, "copy")
"""


def test_a_killed_copy_or_delete_leaves_the_store_whole(store: Store) -> None:
    made(store, system="Hi.")
    for _ in range(5):
        process = subprocess.Popen(
            [sys.executable, "-c", COPYING, str(store.root)], stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()

        assert store.model(NAME).system == "Hi."
        assert all(manifest.digests for manifest in store.manifests.all() or [])
        store.copy(NAME, ModelName.parse("next"), "made")  # the lock went with the process


MANY = """
import sys
from pathlib import Path
from ollama_nb_server.library import gguf
from ollama_nb_server.library.create import Recipe, create
from ollama_nb_server.library.names import ModelName
from ollama_nb_server.library.store import Store
store, me = Store(Path(sys.argv[1])), sys.argv[2]
for i in range(5):
    name = ModelName.parse(f"m{me}")
    list(create(store, Recipe(name=name, source=ModelName.parse("demo"), system=f"{me} {i}")))
    store.delete(name, me)
"""


def test_several_processes_at_once_lose_nothing(store: Store) -> None:
    store.model(DEMO)
    before = files(store)
    started = time.monotonic()
    processes = [subprocess.Popen([sys.executable, "-c", MANY, str(store.root), str(i)]) for i in range(3)]  # fmt: skip

    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert files(store) == before, f"after {time.monotonic() - started:.1f} s"


def test_a_copy_has_the_very_bytes_of_its_manifest(store: Store) -> None:
    made(store, system="Hi.")
    copy = ModelName.parse("u/copy:v2")
    store.copy(NAME, copy, "made")

    assert store.manifests.read(copy)[0] == store.manifests.read(NAME)[0]
    assert store.model(copy).digest == store.model(NAME).digest
