"""Refusals as rows: each is counted, and a flood of them takes few rows."""

from __future__ import annotations

import sqlite3
import time

from ollama_nb_server.accounts import table
from ollama_nb_server.accounts.journal import Journal
from ollama_nb_server.accounts.reading import UsageQuery, report
from ollama_nb_server.accounts.refusals import FOLD_S, MAX_NAMES, Refusals
from ollama_nb_server.scheduling.usage import Asked, Refused, Told


def refused(at: float = 0.0, model: str = "m", code: int = 404, user: str = "ana") -> Refused:
    return Refused(user, "generate", model, code, at)


def test_equal_ones_of_a_while_are_one_row() -> None:
    refusals = Refusals()
    first, second = refusals.row(refused(1.0)), refusals.row(refused(2.0))
    others = [refused(3.0, code=413), refused(3.0, user="ben"), refused(1.0 + FOLD_S)]

    assert (first.number, first.times) == (-1, 1)
    assert (second.number, second.times, second.asked_at, second.ended_at) == (-1, 2, 1.0, 2.0)
    assert [(row.number, row.times) for row in map(refusals.row, others)] == [
        (-2, 1),
        (-3, 1),
        (-4, 1),
    ]


def test_who_makes_up_names_gets_few_rows() -> None:
    refusals = Refusals()
    rows = [refusals.row(refused(float(n) / 1000, f"model {n}")) for n in range(1000)]

    assert len({row.number for row in rows}) == MAX_NAMES + 1
    assert (rows[-1].model, rows[-1].times) == ("", 1000 - MAX_NAMES)
    assert refusals.row(refused(1.0, "model 3")).times == 2
    assert len(refusals.row(refused(1.0, "n" * 10_000, user="ben")).model) == 100


def test_a_flood_is_counted_and_written_as_one_row(tmp_path) -> None:
    journal, refusals = Journal(tmp_path, 90, lambda _: None), Refusals()
    journal.start()
    began = time.perf_counter()
    for _ in range(20_000):
        journal.put(refusals.row(refused(time.time())))
    took_s = time.perf_counter() - began
    assert journal.flush(10)
    journal.close()
    (row,) = report(journal.path, UsageQuery(None)).documents()
    (total,) = report(journal.path, UsageQuery(None, by=("status", "code"))).documents()

    assert took_s / 20_000 < 1e-3
    assert (row["id"], row["status"], row["code"], row["times"]) == ("1-r1", "refused", 404, 20_000)
    assert (total["status"], total["code"], total["requests"]) == ("refused", 404, 20_000)
    assert total["prompt_tokens"] == 0


def test_a_file_of_an_earlier_server_gets_the_columns_it_lacks(tmp_path) -> None:
    folder = tmp_path / "ollama_nb"
    folder.mkdir()
    earlier = table.SCHEMA.replace("    code INTEGER,\n", "").replace(
        "    times INTEGER NOT NULL DEFAULT 1,\n", ""
    )
    with sqlite3.connect(folder / table.FILE) as file:
        file.executescript(earlier)
        file.execute(f"PRAGMA application_id={table.APPLICATION_ID}")
        file.execute(f"PRAGMA user_version={table.VERSION}")
        file.execute(table.BEGUN, (7, 1, "ana", "generate", "m", "d", time.time()))
    file.close()
    journal = Journal(tmp_path, 90, lambda _: None)
    journal.start()
    journal.put(Asked(1, "ana", "generate", "m", "d", time.time()))
    journal.put(Told(1, 503))
    assert journal.flush(10)
    journal.close()
    rows = report(journal.path, UsageQuery(None)).documents()

    assert sorted((row["code"] or 0, row["times"]) for row in rows) == [(0, 1), (503, 1)]
