"""Writes rows on a thread of its own, so that no request ever waits for a disk.

What ends while a batch is written is the next batch. Where nothing can be written (a full disk)
that is logged once, and tried again; requests go on.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from ollama_nb_server.accounts import lives, table
from ollama_nb_server.accounts.refusals import RefusalRow
from ollama_nb_server.scheduling.usage import Asked, Told, Usage
from ollama_nb_server.sharing import folder
from ollama_nb_server.sharing.quota import DAY_S

log = logging.getLogger(__name__)

MAX_WAITING = 20_000  # records, while nothing can be written: some megabytes
RETRY_S = 5.0
CLOSE_S = 10.0
LOOK_S = 1.0  # how often it is asked whether another server has written
LATE_S = 600.0  # how late another server may write what has ended
RECALL_S = 60.0
Spent = tuple[str, float, int, int]  # user, when, tokens, nanoseconds


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A row of refusals as it is to be written, after so many changes."""

    row: RefusalRow
    num_puts: int


@dataclass(slots=True)
class _Recall:
    """That somebody wants to be told anew what was spent, by this server until a time."""

    window_s: float
    until: float
    tell: Callable[[Iterable[Spent]], None]
    done: threading.Event
    is_told: bool = False


class Journal:
    """The file of one store, as one server writes it.

    `remember` is called on the thread with what users have spent within `window_s` seconds; `ready`
    is set behind that, or when the file cannot be read. From then on it hears what other servers on
    the store have written.
    """

    def __init__(
        self,
        models: Path,
        retention_days: int,
        remember: Callable[[Iterable[Spent]], None],
        window_s: float = 0.0,
    ) -> None:
        self.path = models / folder.NAME / table.FILE
        self.ready = threading.Event()
        self._models, self._retention_s = models, retention_days * DAY_S
        self._remember, self._window_s = remember, window_s
        self._waiting: deque[Asked | Usage | Told] = deque()
        self._refusals: dict[int, _Waiting] = {}  # the last of each row
        self._num_put, self._num_done, self._num_lost = 0, 0, 0
        self._changed = threading.Condition()
        self._is_closing, self._is_failing = False, False
        self._life: lives.Life | None = None
        self._connection: sqlite3.Connection | None = None
        self._server = 0
        self._prune_at = 0.0
        self._version: int | None = None  # of the file, when others' rows were last read
        self._heard: dict[tuple[int, int], float] = {}
        self._has_looked = False
        self._recalls: deque[_Recall] = deque()
        self._thread = threading.Thread(target=self._run, name="accounts", daemon=True)

    def start(self) -> None:
        """Open the file, on the thread."""
        self._thread.start()

    def put(self, record: table.Written) -> None:
        """Have a record written soon; never waits for a disk."""
        with self._changed:
            if isinstance(record, RefusalRow):
                before = self._refusals.get(record.number)
                num_puts = 1 if before is None else before.num_puts + 1
                self._refusals[record.number] = _Waiting(record, num_puts)
                self._num_put += 1
                self._changed.notify_all()
                return
            if len(self._waiting) >= MAX_WAITING:
                self._num_lost += 1
                return
            self._waiting.append(record)
            self._num_put += 1
            self._changed.notify_all()

    def flush(self, timeout_s: float) -> bool:
        """Wait until all that was put by now is written; whether it is."""
        with self._changed:
            put = self._num_put
            return self._changed.wait_for(lambda: self._num_done >= put, timeout_s)

    def recall(
        self, window_s: float, until: float, tell: Callable[[Iterable[Spent]], None]
    ) -> bool:
        """Have told what was spent within `window_s`, by this server until a time; whether it was.

        `tell` is called on the thread, in order with `remember`: what that is told behind it is not
        in it, and from then on goes as far back as this. For a thread to call.
        """
        recall = _Recall(window_s, until, tell, threading.Event())
        with self._changed:
            self._recalls.append(recall)
            self._changed.notify_all()
        recall.done.wait(RECALL_S)
        return recall.is_told

    def close(self) -> None:
        """Write what waits, and close the file."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(CLOSE_S)

    # --- the thread -------------------------------------------------------------------------------

    def _run(self) -> None:
        is_last = False
        while not is_last:
            if not self._is_failing:  # a file that opens may still have no room for a row
                self._attempt([])
            with self._changed:
                self._changed.wait_for(self._has_work, self._pause_s())
                batch, refusals = list(self._waiting), list(self._refusals.values())
                recalls = [self._recalls.popleft() for _ in range(len(self._recalls))]
                is_last = self._is_closing
            is_due = batch or refusals or self._is_failing
            if is_due and self._attempt([*batch, *(each.row for each in refusals)]):
                self._done(len(batch), refusals)
            for recall in recalls:  # what was put before they came is written by now
                self._recall(recall)
        if self._connection is not None:
            self._connection.close()
        if self._life is not None:
            self._life.end()

    def _has_work(self) -> bool:
        is_waiting = bool(self._waiting or self._refusals)
        is_wanted = self._is_closing or bool(self._recalls)
        return is_wanted or (is_waiting and not self._is_failing)

    def _pause_s(self) -> float:
        if self._is_failing:
            return RETRY_S
        pause_s = max(self._prune_at - time.time(), 0.0)
        return min(pause_s, LOOK_S) if self._window_s else pause_s

    def _done(self, number: int, refusals: list[_Waiting]) -> None:
        with self._changed:
            for _ in range(number):
                self._waiting.popleft()
            self._num_done += number
            for written in refusals:
                self._written(written)
            self._changed.notify_all()

    def _written(self, written: _Waiting) -> None:
        """What has been refused meanwhile is written the next time."""
        waiting = self._refusals.pop(written.row.number)
        self._num_done += written.num_puts
        if waiting is not written:
            left = waiting.num_puts - written.num_puts
            self._refusals[written.row.number] = _Waiting(waiting.row, left)

    def _attempt(self, batch: list[table.Written]) -> bool:
        """Write a batch, and do what is due; whether that was possible."""
        try:
            connection = self._connection or self._open()
            if batch:
                table.write(connection, self._server, batch)
            if self._window_s:
                self._look(connection)
            if time.time() >= self._prune_at:
                table.prune(connection, time.time() - self._retention_s)
                self._prune_at = time.time() + DAY_S
        except (sqlite3.Error, OSError) as error:
            self._failed(error)
            return False
        finally:
            self.ready.set()
        self._worked()
        return True

    def _open(self) -> sqlite3.Connection:
        """Open the file; what dead servers have left running in it has failed."""
        place = folder.folder(self._models)
        if self._life is None:
            self._life = lives.Life(place)
        self._life.begin()
        connection = self._connection = table.opened(self.path)
        with table.transaction(connection):
            facts = self._life.key, os.getpid(), time.time()
            connection.execute(
                "INSERT OR IGNORE INTO servers (key, pid, started_at) VALUES (?, ?, ?)", facts
            )
            found = connection.execute("SELECT id FROM servers WHERE key = ?", facts[:1])
            (self._server,) = found.fetchone()
            for server, key in connection.execute(table.WITH_RUNNING, (self._server,)).fetchall():
                if lives.is_over(place, key):
                    connection.execute(table.FAIL, (server,))
        self._version = None
        return connection

    def _look(self, connection: sqlite3.Connection) -> None:
        """Tell what was spent that this server has not written, if anybody else has written."""
        (version,) = connection.execute("PRAGMA data_version").fetchone()
        if version == self._version:
            return
        now = time.time()
        since = now - (LATE_S if self._has_looked else self._window_s)
        found = connection.execute(table.SPENT, (since, self._server)).fetchall()
        self._heard = {key: at for key, at in self._heard.items() if at > now - LATE_S}
        self._remember([row[2:] for row in found if row[:2] not in self._heard])
        self._heard |= {row[:2]: row[3] for row in found}
        self._version, self._has_looked = version, True

    def _recall(self, recall: _Recall) -> None:
        """Tell it, with no other server's row between what is told here and by `_look`."""
        try:
            if (connection := self._connection) is None:
                return
            with table.transaction(connection):
                self._look(connection)
                now = time.time()
                what = now - recall.window_s, self._server, recall.until
                found = connection.execute(table.SPENT_BY_ALL, what).fetchall()
            recent = (row for row in found if row[0] != self._server and row[3] > now - LATE_S)
            self._heard |= {row[:2]: row[3] for row in recent}
            self._window_s = max(self._window_s, recall.window_s)
            recall.tell([row[2:] for row in found])
            recall.is_told = True
        except sqlite3.Error as error:
            self._failed(error)
        finally:
            recall.done.set()

    def _failed(self, error: Exception) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if not self._is_failing:
            log.error("%s cannot be written; requests go on meanwhile: %s", self.path, error)
        self._is_failing = True

    def _worked(self) -> None:
        if self._is_failing:
            lost = self._num_lost
            log.info("%s is written again; %d records were lost", self.path, lost)
        self._is_failing, self._num_lost = False, 0
