"""The thread that writes: never in the way of a request, whatever the disk says."""

from __future__ import annotations

import logging
import sqlite3
import time
from pathlib import Path

import pytest
from ollama_nb_server.accounts import journal as journals
from ollama_nb_server.accounts.journal import Journal
from ollama_nb_server.accounts.reading import UsageQuery, report
from ollama_nb_server.engine.client import End, Ending
from ollama_nb_server.scheduling.usage import Asked, Usage

WAIT_S = 10.0


def forget(_: object) -> None:
    """Nothing was spent."""


def asked(number: int, user: str = "ana") -> Asked:
    return Asked(number, user, "generate", "demo:latest", "d", time.time())


def used(number: int) -> Usage:
    return Usage(asked(number), Ending(End.FINISHED, 3, 4, 1), time.time(), 0.5, 1, 2, 3, 4)


@pytest.fixture
def journal(tmp_path: Path):
    journal = Journal(tmp_path, 90, forget)
    journal.start()
    yield journal
    journal.close()


def rows(journal: Journal) -> list[tuple[object, ...]]:
    found = report(journal.path, UsageQuery(None, limit=100_000))
    return [
        (row["id"], row["status"], row["prompt_tokens"], row["answer_tokens"])
        for row in found.documents()
    ]


def test_a_request_has_one_row(journal: Journal) -> None:
    journal.put(asked(1))
    assert journal.flush(WAIT_S)
    assert rows(journal) == [("1-1", "running", 0, 0)]
    journal.put(used(1))
    journal.put(used(2))  # of which nobody has heard that it began
    assert journal.flush(WAIT_S)

    assert rows(journal) == [("1-1", "finished", 3, 4), ("1-2", "finished", 3, 4)]


def test_closing_writes_what_waits(tmp_path: Path) -> None:
    journal = Journal(tmp_path, 90, forget)
    journal.start()
    for number in range(500):
        journal.put(used(number))
    journal.close()

    assert len(rows(journal)) == 500
    assert list(journal.path.parent.glob("*.lock")) == []


def test_a_request_costs_next_to_nothing_of_the_loop(journal: Journal) -> None:
    assert journal.flush(WAIT_S)
    records = [(asked(number), used(number)) for number in range(2000)]
    began = time.perf_counter()
    for one, other in records:
        journal.put(one)
        journal.put(other)
    took_s = time.perf_counter() - began

    assert took_s / len(records) < 1e-4
    assert journal.flush(WAIT_S)


def test_what_cannot_be_written_is_kept_told_once_and_written_later(
    tmp_path: Path, monkeypatch, caplog
) -> None:
    monkeypatch.setattr(journals, "RETRY_S", 0.05)
    monkeypatch.setattr(journals, "MAX_WAITING", 3)
    folder = tmp_path / "ollama_nb"
    folder.write_text("no folder")
    journal = Journal(tmp_path, 90, forget)
    with caplog.at_level(logging.INFO):
        journal.start()
        assert journal.ready.wait(WAIT_S)
        for number in range(5):
            journal.put(used(number))
        assert not journal.flush(0.3)
        folder.unlink()
        assert journal.flush(WAIT_S)
        journal.close()

    assert [row[0] for row in rows(journal)] == ["1-0", "1-1", "1-2"]
    assert [r.levelname for r in caplog.records] == ["ERROR", "INFO"]
    assert "requests go on" in caplog.messages[0]
    assert "2 records were lost" in caplog.messages[1]


def test_another_programs_file_stays_as_it_is(tmp_path: Path, caplog) -> None:
    folder = tmp_path / "ollama_nb"
    folder.mkdir()
    with sqlite3.connect(folder / "accounts.sqlite") as file:
        file.execute("PRAGMA user_version=9")
    file.close()
    before = (folder / "accounts.sqlite").read_bytes()
    journal = Journal(tmp_path, 90, forget)
    journal.start()
    assert journal.ready.wait(WAIT_S)
    journal.close()

    assert "move it away" in caplog.text
    assert (folder / "accounts.sqlite").read_bytes() == before


def test_what_was_spent_is_told_once(tmp_path: Path) -> None:
    heard: list[list[tuple]] = []
    first = Journal(tmp_path, 90, forget)
    first.start()
    first.put(used(1))
    first.close()
    second = Journal(tmp_path, 90, lambda spent: heard.append(list(spent)), 60.0)
    second.start()
    assert second.ready.wait(WAIT_S)
    second.close()

    ((entry,),) = heard
    assert (entry[0], entry[2:]) == ("ana", (7, 7))
