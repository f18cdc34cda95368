"""The accounts of one server: what the scheduler records, written down and held against quotas."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from pathlib import Path

from ollama_nb_server.accounts.journal import Journal, Spent
from ollama_nb_server.accounts.ledger import QuotaLedger, QuotaState
from ollama_nb_server.accounts.refusals import Refusals
from ollama_nb_server.scheduling.context import Caller
from ollama_nb_server.scheduling.usage import Asked, Record, Refused, Told, Usage
from ollama_nb_server.sharing import Sharing

FLUSH_S = 5.0


class Accounts:
    """Call it on the event loop; nothing here waits for a disk but `opened` and `flush`."""

    def __init__(self, models: Path, sharing: Sharing) -> None:
        self._ledger, self._refusals = QuotaLedger(sharing.quotas), Refusals()
        self._read: deque[Spent] = deque()  # by the journal's thread
        self._journal = Journal(
            models, sharing.retention_days, self._read.extend, self._ledger.window_s
        )
        self._journal.start()

    @property
    def path(self) -> Path:
        """The file."""
        return self._journal.path

    async def opened(self) -> None:
        """Wait until what was spent earlier is known, which it is once for all."""
        if not self._journal.ready.is_set():
            await asyncio.to_thread(self._journal.ready.wait)

    def record(self, record: Record) -> None:
        """Take in what the scheduler tells."""
        self._catch_up()
        if isinstance(record, Usage):
            compute_ns = record.prompt_ns + record.eval_ns
            self._ledger.add(record.user, record.ended_at, record.num_tokens, compute_ns)
        if isinstance(record, Refused):
            self._journal.put(self._refusals.row(record))
        elif isinstance(record, Asked | Usage | Told):
            self._journal.put(record)

    def admit(self, caller: Caller) -> None:
        """Let a request begin.

        Raises
        ------
        QuotaSpent
            If the caller has used up a quota.
        """
        self._catch_up()
        self._ledger.check(caller, time.time())

    def quotas(self, caller: Caller) -> list[QuotaState]:
        """How the caller's quotas stand."""
        self._catch_up()
        return self._ledger.states(caller, time.time())

    def flush(self) -> None:
        """Wait until everything that is over by now is in the file; for a thread to call."""
        self._journal.flush(FLUSH_S)

    async def close(self) -> None:
        """Write what waits."""
        await asyncio.to_thread(self._journal.close)

    def _catch_up(self) -> None:
        """Count what the journal has read: what was spent before, and at other servers."""
        while self._read:
            self._ledger.add(*self._read.popleft())
