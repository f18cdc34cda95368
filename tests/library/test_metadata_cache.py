from __future__ import annotations

import logging
import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFWriter
from ollama_nb_server.library import metadata_cache
from ollama_nb_server.library.digests import Digest
from ollama_nb_server.library.errors import NotGGUF
from ollama_nb_server.library.headers import Headers
from ollama_nb_server.library.metadata_cache import FILE, MetadataCache


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def blob(tmp_path: Path) -> Path:
    return blob_of(tmp_path, 1)


def blob_of(folder: Path, number: int) -> Path:
    path = folder / f"{number}.gguf"
    writer = GGUFWriter(path, f"arch{number}")
    writer.add_token_list([f"t{i}" for i in range(300)])
    writer.add_float32("odd", float("nan"))
    writer.add_array("short", ["a", "b"])
    writer.add_tensor("a.weight", np.zeros((7, 64), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def digest(number: int) -> Digest:
    return Digest(f"{number:064x}")


def fresh(folder: Path) -> Headers:
    """As a server that was just started."""
    return Headers(MetadataCache(folder))


def lose_content(path: Path) -> None:
    """The file keeps its size, and can be read as GGUF no more."""
    path.write_bytes(bytes(path.stat().st_size))


def stored(folder: Path) -> list[str]:
    with closing(sqlite3.connect(folder / FILE)) as connection:
        return [row[0][-1] for row in connection.execute("SELECT digest FROM header ORDER BY 1")]


def test_a_header_that_was_read_before_is_not_read_again(folder: Path, blob: Path) -> None:
    fresh(folder).of(digest(1), blob)
    lose_content(blob)

    metadata = fresh(folder).of(digest(1), blob)

    assert metadata.architecture == "arch1"
    assert metadata.parameter_count == 7 * 64
    assert metadata.values["short"] == ["a", "b"]
    assert np.isnan(metadata.values["odd"])


def test_what_is_long_is_still_read_from_the_file(folder: Path, blob: Path) -> None:
    fresh(folder).of(digest(1), blob)

    metadata = fresh(folder).of(digest(1), blob)

    assert metadata.get("tokenizer.ggml.tokens")[299] == "t299"
    assert [(t.name, t.shape) for t in metadata.tensors] == [("a.weight", (64, 7))]


def test_a_file_of_another_size_is_another_file(folder: Path, blob: Path) -> None:
    headers = fresh(folder)
    headers.of(digest(1), blob)
    blob.write_bytes(blob.read_bytes()[:-100])

    for reader in (headers, fresh(folder)):
        with pytest.raises(NotGGUF, match="bytes before its tensors do"):
            reader.of(digest(1), blob)


def test_a_broken_file_tells_why_every_time_until_it_is_whole(folder: Path, blob: Path) -> None:
    whole, headers = blob.read_bytes(), fresh(folder)
    lose_content(blob)
    for _ in range(2):
        with pytest.raises(NotGGUF):
            headers.of(digest(1), blob)
    time.sleep(0.05)  # until the clock of the file system has moved on
    blob.write_bytes(whole)

    assert headers.of(digest(1), blob).architecture == "arch1"


def test_a_broken_file_is_not_read_again_before_it_is_written_anew(
    folder: Path, blob: Path
) -> None:
    whole, headers = blob.read_bytes(), fresh(folder)
    lose_content(blob)
    stat = blob.stat()
    headers.prefetch([(digest(1), blob)])
    blob.write_bytes(whole)
    os.utime(blob, ns=(stat.st_atime_ns, stat.st_mtime_ns))

    with pytest.raises(NotGGUF):
        headers.of(digest(1), blob)


def test_a_missing_file_is_the_systems_error(folder: Path, blob: Path) -> None:
    fresh(folder).of(digest(1), blob)
    blob.unlink()

    with pytest.raises(FileNotFoundError):
        fresh(folder).of(digest(1), blob)


def test_many_are_read_at_once(folder: Path, tmp_path: Path) -> None:
    files = [(digest(i), blob_of(tmp_path, i)) for i in range(5)]
    missing = (digest(9), tmp_path / "missing")

    fresh(folder).prefetch([*files, missing])
    for _, path in files:
        lose_content(path)
    headers = fresh(folder)
    headers.prefetch(files)

    assert [headers.of(*file).architecture for file in files] == [f"arch{i}" for i in range(5)]


@pytest.mark.parametrize("content", [b"not a database at all " * 100, b"SQLite format 3\0" + bytes(5000), b""])  # fmt: skip
def test_a_broken_cache_is_begun_anew(
    content: bytes, folder: Path, blob: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder.mkdir()
    (folder / FILE).write_bytes(content)

    assert fresh(folder).of(digest(1), blob).architecture == "arch1"
    fresh(folder).of(digest(1), blob)
    lose_content(blob)

    assert fresh(folder).of(digest(1), blob).architecture == "arch1"
    assert len([r for r in caplog.records if r.levelno >= logging.WARNING]) <= 1


@pytest.mark.parametrize("document", ["", "[]", "{}", "[[1, 2, 3], []]", '[[1, 2], {"a": 1}]', '[[0, 0, 0], {"long": 1}]', '[[0, 0, 0], {"a": {"long": [1]}}]'])  # fmt: skip
def test_a_broken_document_is_read_from_the_file(document: str, folder: Path, blob: Path) -> None:
    fresh(folder).of(digest(1), blob)
    with closing(sqlite3.connect(folder / FILE)) as connection, connection:
        connection.execute("UPDATE header SET document = ?", (document,))

    assert fresh(folder).of(digest(1), blob).architecture == "arch1"


def test_a_locked_cache_is_done_without(
    folder: Path, blob: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metadata_cache, "BUSY_S", 0.05)
    fresh(folder).of(digest(2), blob)
    with closing(sqlite3.connect(folder / FILE)) as holder:
        holder.execute("PRAGMA locking_mode = EXCLUSIVE")
        holder.execute("BEGIN EXCLUSIVE")

        headers = fresh(folder)
        assert headers.of(digest(1), blob).architecture == "arch1"
        assert headers.of(digest(2), blob).architecture == "arch1"

    assert len(caplog.records) == 1
    assert "is not used now" in caplog.text


def test_a_folder_that_cannot_be_made_is_done_without(tmp_path: Path, blob: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    assert fresh(tmp_path / "file" / "cache").of(digest(1), blob).architecture == "arch1"


def test_rows_of_another_reader_do_not_count(
    folder: Path, blob: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh(folder).of(digest(1), blob)
    lose_content(blob)
    monkeypatch.setattr(metadata_cache, "READER", metadata_cache.READER + 1)

    with pytest.raises(NotGGUF):
        fresh(folder).of(digest(1), blob)


def test_the_oldest_go_where_there_are_too_many(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = [(digest(i), blob_of(tmp_path, i)) for i in range(6)]
    fresh(folder).of(*blobs[0])
    with closing(sqlite3.connect(folder / FILE)) as connection:
        (size,) = connection.execute("SELECT length(document) FROM header").fetchone()
    monkeypatch.setattr(metadata_cache, "MAX_BYTES", int(3.5 * size))

    for file in blobs[1:]:
        fresh(folder).of(*file)

    assert stored(folder) == ["3", "4", "5"]


MANY = """
import sys
from pathlib import Path
from ollama_nb_server.library.digests import Digest
from ollama_nb_server.library.headers import Headers
from ollama_nb_server.library.metadata_cache import MetadataCache
for i in range(20):
    headers = Headers(MetadataCache(Path(sys.argv[1])))
    for number, path in enumerate(sys.argv[2:]):
        assert headers.of(Digest(f"{number:064x}"), Path(path)).architecture == f"arch{number}"
"""


def test_several_processes_share_it(folder: Path, tmp_path: Path) -> None:
    paths = [str(blob_of(tmp_path, i)) for i in range(4)]
    command = [sys.executable, "-W", "error", "-c", MANY, str(folder), *paths]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(3)]

    said = [process.communicate(timeout=60)[1] for process in processes]

    assert said == [b"", b"", b""]
    assert stored(folder) == ["0", "1", "2", "3"]
