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
from pathlib import Path

from ollama_nb_server.accounts import lives, table
from ollama_nb_server.scheduling.usage import Asked, Usage
from ollama_nb_server.sharing import folder
from ollama_nb_server.sharing.quota import DAY_S

log = logging.getLogger(__name__)

MAX_WAITING = 20_000  # records, while nothing can be written: some megabytes
RETRY_S = 5.0
CLOSE_S = 10.0
Spent = tuple[str, float, int, int]  # user, when, tokens, nanoseconds


class Journal:
    """The file of one store, as one server writes it.

    `remember` is called once, on the thread, with what users have spent within `window_s` seconds;
    `ready` is set behind that, or when the file cannot be read.
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
        self._waiting: deque[Asked | Usage] = deque()
        self._num_put, self._num_done, self._num_lost = 0, 0, 0
        self._changed = threading.Condition()
        self._is_closing, self._is_failing = False, False
        self._life: lives.Life | None = None
        self._connection: sqlite3.Connection | None = None
        self._server = 0
        self._prune_at = 0.0
        self._thread = threading.Thread(target=self._run, name="accounts", daemon=True)

    def start(self) -> None:
        """Open the file, on the thread."""
        self._thread.start()

    def put(self, record: Asked | Usage) -> None:
        """Have a record written soon; never waits for a disk."""
        with self._changed:
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
            self._attempt([])
            with self._changed:
                self._changed.wait_for(self._has_work, self._pause_s())
                batch = list(self._waiting)
                is_last = self._is_closing
            if batch and self._attempt(batch):
                self._done(len(batch))
        if self._connection is not None:
            self._connection.close()
        if self._life is not None:
            self._life.end()

    def _has_work(self) -> bool:
        return self._is_closing or (bool(self._waiting) and not self._is_failing)

    def _pause_s(self) -> float:
        return RETRY_S if self._is_failing else max(self._prune_at - time.time(), 0.0)

    def _done(self, number: int) -> None:
        with self._changed:
            for _ in range(number):
                self._waiting.popleft()
            self._num_done += number
            self._changed.notify_all()

    def _attempt(self, batch: list[Asked | Usage]) -> bool:
        """Write a batch, and do what is due; whether that was possible."""
        try:
            connection = self._connection or self._open()
            if batch:
                table.write(connection, self._server, batch)
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
        if not self.ready.is_set():
            since = time.time() - self._window_s
            self._remember(connection.execute(table.SPENT, (since,)))
        return connection

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
