"""Answers that are finished, each kept at once: what a run that is killed leaves to the next one.

Two questions are the same if the model's weights are and all that is sent: prompt, system text,
pictures, options, form, thinking. A name is not enough: it may mean another model tomorrow.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ollama_nb.cache import uses
from ollama_nb.cache.database import MAX_VARIABLES, Database

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping, Sequence

VERSION = 2
SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    key           TEXT PRIMARY KEY,  -- SHA-256 of the model's digest and the question
    model         TEXT NOT NULL,     -- the name that was used, for people who look into the file
    answer        TEXT NOT NULL,
    thinking      TEXT NOT NULL,
    done_reason   TEXT,              -- stop, length
    prompt_tokens INTEGER,
    answer_tokens INTEGER,
    seconds       REAL NOT NULL,     -- from the question to the answer; a score's share of a run
    finished_at   REAL NOT NULL      -- Unix time
) WITHOUT ROWID;
"""
COLUMNS = "answer, thinking, done_reason, prompt_tokens, answer_tokens, seconds"


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """An answer as it is kept."""

    text: str
    thinking: str
    done_reason: str | None
    prompt_tokens: int | None
    answer_tokens: int | None
    seconds: float


def key_of(digest: str, question: Mapping[str, Any]) -> str:
    """Return what a question is found by.

    Examples
    --------
    >>> key_of("sha256:1", {"prompt": "a"}) == key_of("sha256:2", {"prompt": "a"})
    False
    """
    told = json.dumps([digest, question], separators=(",", ":"))
    return hashlib.sha256(told.encode()).hexdigest()


class AnswerCache:
    """The answers that this user's kernels have kept."""

    def __init__(self) -> None:
        self._database = Database("answers", SCHEMA + uses.SCHEMA, VERSION)

    def keep(self, key: str, model: str, answer: KeptAnswer) -> None:
        """Write down one answer, at once; a newer one takes the place of an older.

        In a file that is full, those used longest ago make room.
        """
        if not uses.limit_bytes():
            return
        row = (key, model, *_row(answer), time.time())
        marks = ", ".join("?" * len(row))
        columns = f"key, model, {COLUMNS}, finished_at"
        statement = f"INSERT OR REPLACE INTO answers ({columns}) VALUES ({marks})"

        def write(connection: sqlite3.Connection) -> None:
            connection.execute(statement, row)
            uses.note(connection, [key])
            uses.make_room(connection, "answers")

        self._database.run(write, None)

    def found(self, keys: Iterable[str]) -> dict[str, KeptAnswer]:
        """Return the answers that are kept under these keys."""
        wanted = list(dict.fromkeys(keys))
        steps = range(0, len(wanted), MAX_VARIABLES)
        parts = [wanted[begin : begin + MAX_VARIABLES] for begin in steps]
        nothing: dict[str, KeptAnswer] = {}
        found = self._database.run(lambda connection: _select(connection, parts), nothing)
        if found:  # by itself: what cannot be noted, on a full disk, is found all the same
            self._database.run(lambda connection: uses.note(connection, found), None)
        return found

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        self._database.close()


def _row(answer: KeptAnswer) -> tuple[Any, ...]:
    """Return the values of COLUMNS; lone surrogates, which sqlite refuses, are marked."""
    texts = [_writable(answer.text), _writable(answer.thinking)]
    counts = [answer.prompt_tokens, answer.answer_tokens, answer.seconds]
    return (*texts, answer.done_reason, *counts)


def _writable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


def _select(
    connection: sqlite3.Connection, parts: Sequence[Sequence[str]]
) -> dict[str, KeptAnswer]:
    found: dict[str, KeptAnswer] = {}
    for keys in parts:
        marks = ", ".join("?" * len(keys))
        statement = f"SELECT key, {COLUMNS} FROM answers WHERE key IN ({marks})"
        found |= {key: KeptAnswer(*row) for key, *row in connection.execute(statement, keys)}
    return found
