"""Translated files: written once, whole or not at all, beside the store, gone with their blob."""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import ollama_form
import pytest
from filelock import FileLock
from ollama_nb_server.library import dialects, gguf
from ollama_nb_server.library.dialects import (
    CacheNotWritable,
    NoRoomToTranslate,
    TranslationCancelled,
    TranslationStuck,
    copying,
)
from ollama_nb_server.library.digests import Digest
from ollama_nb_server.library.gguf import GGUFMetadata

Loading = Callable[..., Path]
HOUR = 3600.0
BLOB, OTHER = Digest("a" * 64), Digest("b" * 64)


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> GGUFMetadata:
    """A model with a vision tower in the middle of its file."""
    tiny = ollama_form.gemma3()
    tiny = replace(tiny, tensors=dict(sorted(tiny.tensors.items())))
    return gguf.read(tiny.write(tmp_path_factory.mktemp("store") / "blob"))


@pytest.fixture
def translated(old: GGUFMetadata, cache: Path) -> Loading:
    def load(digest: Digest = BLOB, cancelled: Callable[[], bool] = lambda: False) -> Path:
        return dialects.loadable(old, digest, cache, cancelled).translation

    return load


def files(cache: Path) -> list[str]:
    found = (path for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock")
    return sorted(path.name for path in found)


def test_every_tensor_has_its_bytes(old: GGUFMetadata, translated: Loading) -> None:
    new = gguf.read(translated())

    kept = [tensor for tensor in old.tensors if not tensor.name.startswith(("v.", "mm."))]
    assert [tensor.name for tensor in new.tensors] == [tensor.name for tensor in kept]
    assert [contents(new, t) for t in new.tensors] == [contents(old, t) for t in kept]


def contents(metadata: GGUFMetadata, tensor: gguf.Tensor) -> bytes:
    data = metadata.path.read_bytes()
    last = max(metadata.tensors, key=lambda t: t.offset)
    start = len(data) - last.offset - -(-last.num_bytes // 32) * 32
    return data[start + tensor.offset :][: tensor.num_bytes]


def test_both_files_begin_their_data_at_the_same_place_of_a_page(
    old: GGUFMetadata, translated: Loading
) -> None:
    """So a file system that can share blocks shares them."""
    starts = [
        metadata.path.stat().st_size - sum(-(-t.num_bytes // 32) * 32 for t in metadata.tensors)
        for metadata in (old, gguf.read(translated()))
    ]

    assert starts[0] % 4096 == starts[1] % 4096


def test_a_second_load_finds_the_file(translated: Loading) -> None:
    first = translated()
    written = first.stat().st_mtime_ns

    assert translated() == first
    assert first.stat().st_mtime_ns == written


def test_two_at_once_write_it_once(
    translated: Loading, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Path] = []
    write = copying.write
    monkeypatch.setattr(copying, "write", lambda *args: (calls.append(args[1]), write(*args)))

    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(lambda _: translated(), range(4)))

    assert len(found) == len(calls) == 1
    assert len(files(cache)) == 1


def test_a_cancelled_translation_leaves_nothing(translated: Loading, cache: Path) -> None:
    looks = iter([False, False])  # then it is left, in the middle of the copy

    with pytest.raises(TranslationCancelled):
        translated(cancelled=lambda: next(looks, True))

    assert files(cache) == []
    assert translated().exists()


def test_who_waits_for_another_can_be_cancelled(translated: Loading, cache: Path) -> None:
    held, leave = threading.Event(), threading.Event()

    def holding() -> bool:
        held.set()
        leave.wait(10)
        return False

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(lambda: translated(cancelled=holding))
        held.wait(10)
        with pytest.raises(TranslationCancelled):
            translated(cancelled=held.is_set)
        leave.set()
        assert first.result().exists()


def test_who_waits_for_one_that_hangs_is_told(
    translated: Loading, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as the other one writes it is waited for, however long that takes."""
    monkeypatch.setattr("ollama_nb_server.library.dialects.cache.STUCK_S", 1.0)
    monkeypatch.setattr("ollama_nb_server.library.dialects.cache.WAIT_S", 0.01)
    path = translated()
    lock, part = path.with_name(f".{path.name}.lock"), path.with_name(f".{path.name}.0a.part")
    path.unlink()
    part.touch()
    written = iter(range(1, 150))

    def goes_on() -> bool:
        os.utime(part, (0, next(written, 149)))
        return False

    with FileLock(lock), pytest.raises(TranslationStuck, match=f"`fuser {lock}` tells"):
        translated(cancelled=goes_on)

    assert next(written, None) is None, "it was waited for while the file grew"


def test_a_full_disk_is_told_before_anything_is_written(
    translated: Loading, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(Path("/"))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1 << 20))

    with pytest.raises(NoRoomToTranslate, match="OLLAMA_NB_CACHE"):
        translated()

    assert files(cache) == []


def test_without_the_kernels_help_the_bytes_are_the_same(
    translated: Loading, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_kernel = hashlib.sha256(translated(BLOB).read_bytes()).digest()
    monkeypatch.delattr(os, "copy_file_range", raising=False)

    by_hand = hashlib.sha256(translated(OTHER).read_bytes()).digest()

    assert by_hand == by_kernel


def test_the_files_of_blobs_that_are_gone_are_removed(
    old: GGUFMetadata, translated: Loading, cache: Path
) -> None:
    kept, gone = translated(BLOB), translated(OTHER)
    kept.with_name("notes.txt").touch()
    (old.path.parent / BLOB.filename).touch()

    removed = dialects.prune(cache, old.path.parent)

    assert removed > 0
    assert not gone.exists()
    assert files(cache) == ["notes.txt", kept.name]


def test_the_files_of_another_store_stay(translated: Loading, cache: Path, tmp_path: Path) -> None:
    kept = translated()

    assert dialects.prune(cache, tmp_path / "other" / "blobs") == 0
    assert kept.exists()


@pytest.mark.parametrize(("age", "stays"), [(0.5 * HOUR, True), (2 * HOUR, False)])
def test_a_half_written_file_is_removed_after_an_hour(
    old: GGUFMetadata, translated: Loading, cache: Path, *, age: float, stays: bool
) -> None:
    whole = translated()
    (old.path.parent / BLOB.filename).touch()
    part = whole.with_name(f".{whole.name}.0123abcd.part")
    part.touch()

    dialects.prune(cache, old.path.parent, now=part.stat().st_mtime + age)

    assert part.exists() is stays
    assert whole.exists()


def test_a_cache_that_cannot_be_written_says_so(
    old: GGUFMetadata, translated: Loading, cache: Path
) -> None:
    cache.touch()  # no folder

    with pytest.raises(CacheNotWritable, match="let OLLAMA_NB_CACHE name a folder"):
        translated()
