"""Locks that another process holds: waited for, not for ever, and never by those who only read."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ollama_nb_server.library.create import Recipe, create
from ollama_nb_server.library.errors import StoreLocked
from ollama_nb_server.library.locking import Patience
from ollama_nb_server.library.names import ModelName
from ollama_nb_server.library.store import LOCK, Store

DEMO, OTHER = ModelName.parse("demo"), ModelName.parse("other")
HOLDING = """
import sys
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def held(lock: Path) -> Iterator[None]:
    """Another process has this lock."""
    command = [sys.executable, "-c", HOLDING, str(lock)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        try:
            yield
        finally:
            process.kill()


@pytest.fixture
def store(store_dir: Path) -> Store:
    store = Store(store_dir, lock_s=0.2)
    store.model(DEMO)  # so that it is installed
    return store


CHANGES: dict[str, Callable[[Store], object]] = {
    "write": lambda store: store.write(OTHER, store.manifests.of(DEMO)),
    "copy": lambda store: store.copy(DEMO, OTHER, "demo"),
    "delete": lambda store: store.delete(DEMO, "demo"),
    "tidy": lambda store: store.tidy(0.0),
    "create": lambda store: list(create(store, Recipe(name=OTHER, source=DEMO, system="Hi"))),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_gives_up_and_says_what_to_do(store: Store, change: Callable) -> None:
    with held(store.root / LOCK), pytest.raises(StoreLocked) as caught:
        change(store)

    assert str(caught.value) == (
        f"the model store {store.root} cannot be changed now: another process has held its lock "
        f"{store.root / LOCK} for more than 0.2 s; wait until it has finished, or end it (on Linux "
        f"`fuser {store.root / LOCK}` tells its number), then try again"
    )
    assert store.has(DEMO)
    assert not store.manifests.has(OTHER)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_works_again_when_the_other_one_has_gone(store: Store, change: Callable) -> None:
    with held(store.root / LOCK):
        pass

    change(store)


def test_the_bundled_model_cannot_be_installed_while_it_is_held(store_dir: Path) -> None:
    store_dir.mkdir()
    with held(store_dir / LOCK), pytest.raises(StoreLocked):
        Store(store_dir, lock_s=0.2).model(DEMO)


def test_who_reads_needs_no_lock(store: Store) -> None:
    with held(store.root / LOCK):
        assert [entry.name for entry in store.models()] == [DEMO]
        assert store.model(store.resolve(ModelName.parse("DEMO"))).name == DEMO
        assert store.entry(DEMO, "demo").name == DEMO


def test_patience_is_over_when_nothing_changes() -> None:
    now = [0.0]
    patience = Patience(10.0, clock=lambda: now[0])
    looks = [(0.0, "a"), (10.0, "a"), (11.0, "b"), (21.0, "b"), (21.5, "b"), (22.0, "c")]

    over = []
    for now[0], sign in looks:
        over.append(patience.is_over(sign))

    assert over == [False, False, False, False, True, False]
