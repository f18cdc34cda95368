"""What a starting server removes from a store, and all that it must leave alone."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from ollama_nb_server.library.create import Recipe, create
from ollama_nb_server.library.errors import StoreBroken
from ollama_nb_server.library.names import ModelName
from ollama_nb_server.library.pruning import GRACE_S
from ollama_nb_server.library.store import Store

DEMO, NAME = ModelName.parse("demo"), ModelName.parse("made")
HEX = "ab" * 32
NOW = time.time()


@pytest.fixture
def store(store_dir: Path) -> Store:
    """A store with a model, all of it two hours old."""
    store = Store(store_dir)
    list(create(store, Recipe(name=NAME, source=DEMO, system="Used.")))
    for path in store.root.rglob("*"):
        age(path, 2 * GRACE_S)
    return store


def age(path: Path, seconds: float) -> Path:
    os.utime(path, (NOW - seconds, NOW - seconds))
    return path


def put(store: Store, name: str, seconds: float) -> Path:
    path = store.blobs.folder / name
    path.write_bytes(b"data")
    return age(path, seconds)


@pytest.mark.parametrize(
    "name",
    [
        f"sha256-{HEX}",
        f"sha256-{HEX}-partial",
        f"sha256-{HEX}-partial-3",
        f"sha256-{HEX}.tmp",
        "sha256-1234567890",
    ],
)
def test_what_nobody_needs_goes_after_an_hour(store: Store, name: str) -> None:
    old, young = put(store, name, GRACE_S + 60), put(store, name.replace("ab", "cd").replace("12", "34"), GRACE_S - 60)  # fmt: skip

    assert store.tidy(NOW) == 1
    assert (old.exists(), young.exists()) == (False, True)


@pytest.mark.parametrize(
    "name",
    ["notes.txt", "sha256-", "sha256-xyz", f"sha256-{HEX}x", f"sha512-{HEX}", f"sha256-{HEX}-partial-x", ".DS_Store"],
)  # fmt: skip
def test_what_is_not_understood_stays(store: Store, name: str) -> None:
    strange = put(store, name, 100 * GRACE_S)

    assert store.tidy(NOW) == 0
    assert strange.exists()


def test_what_a_model_uses_stays(store: Store) -> None:
    before = sorted(store.blobs.folder.iterdir())

    assert store.tidy(NOW) == 0
    assert sorted(store.blobs.folder.iterdir()) == before
    assert store.model(NAME).system == "Used."


def test_the_parts_of_a_download_go_together(store: Store) -> None:
    state = put(store, f"sha256-{HEX}-partial-0", 9 * GRACE_S)  # written when an attempt ends only
    put(store, f"sha256-{HEX}-partial", 60)

    assert store.tidy(NOW) == 0
    assert state.exists()


def test_links_and_folders_stay(store: Store, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    target.write_text("x")
    link = store.blobs.folder / f"sha256-{HEX}"
    link.symlink_to(target)
    (store.blobs.folder / f"sha256-{'cd' * 32}").mkdir()

    assert store.tidy(NOW) == 0
    assert link.is_symlink()
    assert target.exists()


@pytest.mark.parametrize("content", ["{", "", "[]"])
def test_nothing_goes_while_a_manifest_is_unreadable(store: Store, content: str) -> None:
    unneeded = put(store, f"sha256-{HEX}", 9 * GRACE_S)
    manifest = store.root / "manifests/h/n/m/t"
    manifest.parent.mkdir(parents=True)
    manifest.write_text(content)

    assert store.tidy(NOW) == 0
    assert unneeded.exists()


def test_nothing_goes_while_a_manifest_has_a_strange_name(store: Store) -> None:
    unneeded = put(store, f"sha256-{HEX}", 9 * GRACE_S)
    manifest = store.root / "manifests/h/n/m/.DS_Store"
    manifest.parent.mkdir(parents=True)
    manifest.write_bytes(b"\0")

    assert store.tidy(NOW) == 0
    assert unneeded.exists()


def test_nothing_goes_where_it_is_forbidden(store: Store) -> None:
    unneeded = put(store, f"sha256-{HEX}", 9 * GRACE_S)

    assert Store(store.root, removes=False).tidy(NOW) == 0
    assert unneeded.exists()


def test_a_manifest_that_was_never_finished_goes_and_so_do_empty_folders(store: Store) -> None:
    left = store.root / ".manifest-0123456789abcdef"
    left.write_text("{")
    age(left, 2 * GRACE_S)
    (store.root / "manifests/h/n/m").mkdir(parents=True)

    assert store.tidy(NOW) == 1
    assert not (store.root / "manifests/h").exists()


def test_blobs_with_a_colon_get_todays_names(store: Store) -> None:
    digest = store.model(NAME).weights_digest
    path = store.blobs.path(digest)
    path.rename(path.with_name(digest.colon))
    store.tidy(NOW)

    assert store.blobs.has(digest)


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    assert Store(tmp_path / "none").tidy(NOW) == 0
    assert not (tmp_path / "none").exists()


def test_replaced_layers_stay_where_removing_is_forbidden(store: Store) -> None:
    keeping = Store(store.root, removes=False)
    before = set(store.blobs.folder.iterdir())
    list(create(keeping, Recipe(name=NAME, source=DEMO, system="New.")))

    assert before <= set(store.blobs.folder.iterdir())


def test_a_link_among_the_manifests_leads_nowhere(store: Store, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (store.root / "manifests/evil.example").symlink_to(outside)

    with pytest.raises(StoreBroken, match="leads out of the model store"):
        store.copy(NAME, ModelName.parse("evil.example/n/m:t"), "made")
    assert list(outside.rglob("*")) == []
