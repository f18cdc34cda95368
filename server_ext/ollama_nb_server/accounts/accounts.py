"""The accounts of one server: what the scheduler records, written down and held against quotas."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from pathlib import Path

from ollama_nb_server.accounts.journal import Journal, Spent
from ollama_nb_server.accounts.ledger import QuotaLedger, QuotaState
from ollama_nb_server.scheduling.context import Caller
from ollama_nb_server.scheduling.usage import Asked, Record, Usage
from ollama_nb_server.sharing import Sharing

FLUSH_S = 5.0


class Accounts:
    """Call it on the event loop; nothing here waits for a disk but `opened` and `flush`."""

    def __init__(self, models: Path, sharing: Sharing) -> None:
        self._ledger = QuotaLedger(sharing.quotas)
        self._journal = Journal(
            models, sharing.retention_days, self._remember, self._ledger.window_s
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
        if isinstance(record, Usage):
            compute_ns = record.prompt_ns + record.eval_ns
            self._ledger.add(record.user, record.ended_at, record.num_tokens, compute_ns)
        if isinstance(record, Asked | Usage):
            self._journal.put(record)

    def admit(self, caller: Caller) -> None:
        """Let a request begin.

        Raises
        ------
        QuotaSpent
            If the caller has used up a quota.
        """
        self._ledger.check(caller, time.time())

    def quotas(self, caller: Caller) -> list[QuotaState]:
        """How the caller's quotas stand."""
        return self._ledger.states(caller, time.time())

    def flush(self) -> None:
        """Wait until everything that is over by now is in the file; for a thread to call."""
        self._journal.flush(FLUSH_S)

    async def close(self) -> None:
        """Write what waits."""
        await asyncio.to_thread(self._journal.close)

    def _remember(self, spent: Iterable[Spent]) -> None:
        for entry in spent:
            self._ledger.add(*entry)
