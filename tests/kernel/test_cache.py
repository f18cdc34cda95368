from __future__ import annotations

import itertools
import os
import sqlite3
import subprocess
import sys
import time
import warnings
from dataclasses import replace

import pytest
from ollama_nb_server.environment import Settings

from ollama_nb.cache.database import Database
from ollama_nb.cache.embeddings import VectorCache
from ollama_nb.cache.folder import cache_dir
from ollama_nb.cache.rows import AnswerCache, KeptAnswer, key_of
from ollama_nb.errors import CacheWarning

ANSWER = KeptAnswer("a fox\n", "hm", "stop", 12, 3, 0.25)
NUMBERS = "CREATE TABLE IF NOT EXISTS numbers (n INTEGER);"


@pytest.fixture
def answers():
    cache = AnswerCache()
    yield cache
    cache.close()


@pytest.fixture
def numbers():
    database = Database("numbers", NUMBERS, 1)
    yield database
    database.close()


def _add(database, number):
    database.run(lambda c: c.execute("INSERT INTO numbers VALUES (?)", (number,)), None)


def _all(database):
    return database.run(lambda c: [n for (n,) in c.execute("SELECT n FROM numbers")], None)


def test_an_answer_that_is_kept_is_found_by_another_kernel_as_it_was(answers):
    answers.keep("key", "demo", ANSWER)

    other = AnswerCache()
    assert other.found(["key", "unknown"]) == {"key": ANSWER}
    other.close()


def test_a_newer_answer_takes_the_place_of_an_older(answers):
    answers.keep("key", "demo", ANSWER)
    answers.keep("key", "demo", replace(ANSWER, text="a hen"))

    assert answers.found(["key"])["key"].text == "a hen"


def test_more_keys_than_a_statement_takes_are_found(answers):
    keys = [f"key{number}" for number in range(1201)]
    for key in keys[::400]:
        answers.keep(key, "demo", ANSWER)

    assert sorted(answers.found(keys)) == sorted(keys[::400])


def test_a_text_that_no_file_can_hold_is_marked_not_lost(answers):
    answers.keep("key", "demo", replace(ANSWER, text="a \ud800 b"))

    assert answers.found(["key"])["key"].text == "a ? b"


QUESTION = {"prompt": "a", "options": {"seed": 1}, "format": {"type": "object"}}


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": "b"},
        {"options": {"seed": 2}},
        {"format": {"type": "array"}},
        {"system": "s"},
        {"images": ["aGk="]},
        {"think": False},
    ],
)
def test_all_that_is_sent_makes_a_question_another_one(change):
    assert key_of("sha256:1", QUESTION) == key_of("sha256:1", dict(QUESTION))
    assert key_of("sha256:1", QUESTION) != key_of("sha256:1", QUESTION | change)


def test_other_weights_of_the_same_name_are_asked_anew():
    assert key_of("sha256:1", QUESTION) != key_of("sha256:2", QUESTION)


WRITER = """
import sys
from ollama_nb.cache.database import Database
database = Database("numbers", "CREATE TABLE IF NOT EXISTS numbers (n INTEGER);", 1)
for number in range(200):
    database.run(lambda c: c.execute("INSERT INTO numbers VALUES (?)", (number,)), None)
"""


def test_kernels_write_beside_one_another(numbers):
    command = [sys.executable, "-W", "error", "-c", WRITER]
    writers = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(3)]
    errors = [writer.communicate(timeout=60)[1].decode() for writer in writers]

    assert errors == [""] * 3
    assert sorted(_all(numbers)) == sorted([*range(200)] * 3)


def _foreign(path):
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    connection.close()


def _of_another_version(path):
    _foreign(path)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA application_id=1869377122")
        connection.execute("PRAGMA user_version=7")
    connection.close()


SPOILT = {
    "no database": lambda path: path.write_bytes(b"something else" * 500),
    "another program's": _foreign,
    "another version": _of_another_version,
}


@pytest.mark.parametrize("what", SPOILT)
def test_a_file_that_cannot_be_used_is_moved_aside(numbers, what):
    numbers.path.parent.mkdir(parents=True)
    SPOILT[what](numbers.path)
    before = numbers.path.read_bytes()

    with pytest.warns(CacheWarning, match="it is now numbers-1.broken-"):
        _add(numbers, 1)

    assert _all(numbers) == [1]
    (aside,) = numbers.path.parent.glob("numbers-1.broken-*.sqlite")
    assert aside.read_bytes() == before


def test_a_file_that_breaks_while_it_is_open_is_moved_aside(numbers):
    for number in range(2000):
        _add(numbers, number)
    numbers.run(lambda c: c.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall(), None)
    with numbers.path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 40_000)
    numbers.run(lambda c: c.execute("PRAGMA shrink_memory"), None)

    with pytest.warns(CacheWarning, match="it is now numbers-1.broken-"):
        numbers.run(lambda c: c.execute("SELECT sum(n) FROM numbers").fetchall(), None)
    _add(numbers, 5)

    assert _all(numbers) == [5]


def test_where_nothing_can_be_written_this_kernel_remembers_alone(numbers, monkeypatch, tmp_path):
    blocking = tmp_path / "a file"
    blocking.write_text("no folder")
    monkeypatch.setenv("OLLAMA_NB_CACHE", str(blocking / "cache"))

    with pytest.warns(CacheWarning, match="this kernel remembers alone"):
        _add(numbers, 1)

    with warnings.catch_warnings():
        warnings.simplefilter("error")  # said once
        assert _all(numbers) == [1]


def test_what_cannot_be_done_is_a_warning_and_never_a_failure(numbers):
    with pytest.warns(CacheWarning, match="was not used"):
        assert numbers.run(lambda c: c.execute("SELEKT 1"), "otherwise") == "otherwise"


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({"OLLAMA_NB_CACHE": "/some/where"}, "/some/where"),
        ({"OLLAMA_NB_CACHE": "", "XDG_CACHE_HOME": "/caches"}, "/caches/ollama-nb"),
        ({"OLLAMA_NB_CACHE": "", "HOME": "/home/ann"}, "/home/ann/.cache/ollama-nb"),
    ],
)
def test_the_cache_is_where_the_server_has_its_own(monkeypatch, environ, folder):
    for name, value in environ.items():
        monkeypatch.setenv(name, value)

    assert str(cache_dir()) == folder
    assert str(Settings.from_environ(os.environ).cache) == folder


# --- how large a file may be ----------------------------------------------------------------------

MEGABYTE = 1_000_000


@pytest.fixture
def clock(monkeypatch):
    """A clock that moves on by a second whenever it is looked at."""
    ticks = itertools.count(1_000_000)
    monkeypatch.setattr(time, "time", lambda: float(next(ticks)))


@pytest.fixture(params=["answers", "vectors"])
def kept(request, clock):
    """A cache of either kind: how to keep and to find 10 kB, and the cache."""
    if request.param == "answers":
        cache = AnswerCache()
        keep = lambda key: cache.keep(key, "demo", replace(ANSWER, text="x" * 10_000))  # noqa: E731
    else:
        cache = VectorCache()
        keep = lambda key: cache.keep("demo", {key: b"x" * 10_000})  # noqa: E731
    yield keep, cache
    cache.close()


def _bytes_on_disk(cache):
    path = cache._database.path
    cache.close()  # which writes all that is beside the file into it
    return path.stat().st_size


def test_a_full_file_forgets_what_was_used_longest_ago(kept, monkeypatch):
    monkeypatch.setenv("OLLAMA_NB_CACHE_MB", "1")
    keep, cache = kept

    for number in range(400):
        keep(f"key{number}")
        assert "key0" in cache.found(["key0"]), number  # used all the time

    assert 0.8 * MEGABYTE < _bytes_on_disk(cache) <= MEGABYTE
    there = sorted(
        cache.found(f"key{number}" for number in range(400)), key=lambda key: int(key[3:])
    )
    assert there == ["key0", *(f"key{number}" for number in range(401 - len(there), 400))]


def test_a_lower_limit_makes_a_file_smaller(kept, monkeypatch):
    keep, cache = kept
    for number in range(300):
        keep(f"key{number}")
    before = _bytes_on_disk(cache)

    monkeypatch.setenv("OLLAMA_NB_CACHE_MB", "0.5")
    keep("one more")

    assert before > 3 * MEGABYTE
    assert _bytes_on_disk(cache) <= MEGABYTE / 2
    assert "one more" in cache.found(["one more"])


def test_what_is_larger_than_the_limit_is_not_kept_and_nothing_is_with_a_limit_of_0(
    kept, monkeypatch
):
    keep, cache = kept
    monkeypatch.setenv("OLLAMA_NB_CACHE_MB", "0.001")
    keep("larger")
    monkeypatch.setenv("OLLAMA_NB_CACHE_MB", "0")
    keep("nothing")

    assert cache.found(["larger", "nothing"]) == {}


@pytest.mark.parametrize("value", ["much", "-1", "nan", "inf"])
def test_a_limit_that_is_none_is_told_once_and_the_usual_one_holds(answers, monkeypatch, value):
    monkeypatch.setenv("OLLAMA_NB_CACHE_MB", value)

    with pytest.warns(CacheWarning, match=f"OLLAMA_NB_CACHE_MB is '{value}'.*1,000") as caught:
        answers.keep("key", "demo", ANSWER)
    answers.keep("key", "demo", ANSWER)  # a warning would be an error here

    assert len(caught) == 1
    assert answers.found(["key"]) == {"key": ANSWER}
