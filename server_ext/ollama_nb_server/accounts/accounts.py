"""The accounts of one server: what the scheduler records, written down and held against quotas."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path

from ollama_nb_server.accounts.journal import Journal, Spent
from ollama_nb_server.accounts.ledger import QuotaLedger, QuotaState
from ollama_nb_server.accounts.refusals import Refusals
from ollama_nb_server.scheduling.context import Caller
from ollama_nb_server.scheduling.usage import Asked, Record, Refused, Told, Usage
from ollama_nb_server.sharing import Quota

log = logging.getLogger(__name__)

FLUSH_S = 5.0


@dataclass(frozen=True, slots=True)
class _Filled:
    """A ledger that has counted all but what is told behind it, or was spent here meanwhile."""

    ledger: QuotaLedger


class Accounts:
    """Call it on the event loop; nothing here waits for a disk but `opened` and `flush`."""

    def __init__(
        self,
        models: Path,
        retention_days: int,
        quotas: Sequence[Quota],
        zone: tzinfo | None = None,
    ) -> None:
        self._zone = zone  # of the times that a refusal tells
        self._ledger, self._refusals = QuotaLedger(quotas, zone), Refusals()
        self._read: deque[Spent | _Filled] = deque()  # by the journal's thread
        self._meanwhile: list[Spent] | None = None  # spent here, while a ledger is filled
        self._callers: dict[str, Caller] = {}
        self._journal = Journal(models, retention_days, self._read.extend, self._ledger.window_s)
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
            entry = record.user, record.ended_at, record.num_tokens, compute_ns
            self._ledger.add(*entry)
            if self._meanwhile is not None:
                self._meanwhile.append(entry)
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
        self._callers[caller.name] = caller
        self._ledger.check(caller, time.time())

    def quotas(self, caller: Caller) -> list[QuotaState]:
        """How the caller's quotas stand."""
        self._catch_up()
        return self._ledger.states(caller, time.time())

    @property
    def callers(self) -> dict[str, Caller | None]:
        """All users of whom something is known, by name; None: not what groups they are in.

        That is known of who has asked since this server started.
        """
        self._catch_up()
        return {**dict.fromkeys(self._ledger.users), **self._callers}

    async def change_quotas(self, quotas: Sequence[Quota]) -> None:
        """Hold requests to other quotas from now on, by all that was spent in their windows."""
        await self.opened()
        self._catch_up()
        ledger = QuotaLedger(quotas, self._zone)
        if self._ledger.knows(ledger):
            self._go_on_with(ledger)
            return
        until, self._meanwhile = time.time(), []
        if not await asyncio.to_thread(self._fill, ledger, until):
            log.warning("%s cannot be read: new quotas count from now on", self.path)
            self._read.append(_Filled(ledger))
        self._catch_up()

    def _fill(self, ledger: QuotaLedger, until: float) -> bool:
        """Have a ledger count what was spent here until a time, and by others; whether it could."""

        def fill(spent: Iterable[Spent]) -> None:
            for entry in spent:
                ledger.add(*entry)
            self._read.append(_Filled(ledger))

        return self._journal.recall(ledger.window_s, until, fill)

    def _go_on_with(self, ledger: QuotaLedger) -> None:
        """Let a ledger count from now on: its sums are those that were counted so far, if any."""
        for entry in self._meanwhile or ():
            ledger.add(*entry)
        self._meanwhile = None
        ledger.take_over(self._ledger)
        self._ledger = ledger

    def flush(self) -> None:
        """Wait until everything that is over by now is in the file; for a thread to call."""
        self._journal.flush(FLUSH_S)

    async def close(self) -> None:
        """Write what waits."""
        await asyncio.to_thread(self._journal.close)

    def _catch_up(self) -> None:
        """Count what the journal has read: what was spent before, and at other servers."""
        while self._read:
            entry = self._read.popleft()
            if isinstance(entry, _Filled):
                self._go_on_with(entry.ledger)
            else:
                self._ledger.add(*entry)
