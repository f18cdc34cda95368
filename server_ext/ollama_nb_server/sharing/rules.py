"""The quotas and pins that hold: the configuration's, until an administrator changes them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timezone
from typing import Protocol

from ollama_nb_server.sharing.overrides import (
    ChangedPins,
    ChangedQuotas,
    Overrides,
    OverridesFile,
)
from ollama_nb_server.sharing.quota import Quota
from ollama_nb_server.sharing.settings import Sharing
from ollama_nb_server.sharing.windows import Pin

log = logging.getLogger(__name__)

EditQuotas = Callable[[tuple[Quota, ...]], tuple[Quota, ...]]
EditPins = Callable[[tuple[Pin, ...]], tuple[Pin, ...]]


class OnAThread(Protocol):
    """Runs what waits for the disk beside the event loop."""

    def __call__(self, function: Callable[[], Overrides], /) -> Awaitable[Overrides]:
        """What the function returns."""


async def _nobody(_: object) -> None:
    """Tell nobody."""


class Rules:
    """What holds now; `quotas_changed` and `pins_changed` are told whenever that is something else.

    Without a file a change holds until the server ends.

    Raises
    ------
    BadSharing
        If the file cannot be used, or goes not with the configuration.
    """

    def __init__(self, sharing: Sharing, file: OverridesFile | None = None) -> None:
        self._sharing, self._file = sharing, file
        self._overrides = Overrides() if file is None else file.read()
        self._turn = asyncio.Lock()
        self.quotas_changed: Callable[[tuple[Quota, ...]], Awaitable[None]] = _nobody
        self.pins_changed: Callable[[tuple[Pin, ...]], Awaitable[None]] = _nobody
        sharing.check_quotas(self.quotas)
        self._tell()

    @property
    def quotas(self) -> tuple[Quota, ...]:
        """The quotas that hold."""
        changed = self._overrides.quotas
        return self._sharing.quotas if changed is None else changed.entries

    @property
    def pins(self) -> tuple[Pin, ...]:
        """The pins that hold."""
        changed = self._overrides.pins
        return self._sharing.pins if changed is None else changed.entries

    @property
    def overrides(self) -> Overrides:
        """What was changed, by whom and when."""
        return self._overrides

    @property
    def is_kept(self) -> bool:
        """Whether a change outlives the server."""
        return self._file is not None

    async def change_quotas(self, edit: EditQuotas | None, by: str, run: OnAThread) -> None:
        """Have others hold from now on; None: the configuration's again.

        `edit` is given those that hold, as another server may have changed them by now.

        Raises
        ------
        BadSharing, OSError
            If that is not possible, or cannot be written: nothing is changed then.
        """

        def changed(before: Overrides) -> Overrides:
            if edit is None:
                return before.model_copy(update={"quotas": None})
            there = self._sharing.quotas if before.quotas is None else before.quotas.entries
            entries = edit(there)
            self._sharing.check_quotas(entries)
            new = ChangedQuotas(by=by, at=_now(), entries=entries)
            return before.model_copy(update={"quotas": new})

        await self._change(changed, run)

    async def change_pins(self, edit: EditPins | None, by: str, run: OnAThread) -> None:
        """The same for pins."""

        def changed(before: Overrides) -> Overrides:
            if edit is None:
                return before.model_copy(update={"pins": None})
            there = self._sharing.pins if before.pins is None else before.pins.entries
            new = ChangedPins(by=by, at=_now(), entries=edit(there))
            return before.model_copy(update={"pins": new})

        await self._change(changed, run)

    async def _change(self, edit: Callable[[Overrides], Overrides], run: OnAThread) -> None:
        async with self._turn:
            quotas, pins, file = self.quotas, self.pins, self._file
            if file is None:
                self._overrides = edit(self._overrides)
            else:
                self._overrides = await run(lambda: file.change(edit))
            if self.quotas != quotas:
                await self.quotas_changed(self.quotas)
            if self.pins != pins:
                await self.pins_changed(self.pins)

    def _tell(self) -> None:
        """Say in the log what of the configuration does not hold."""
        changes = {"quotas": self._overrides.quotas, "pins": self._overrides.pins}
        for name, changed in changes.items():
            if changed is not None and self._file is not None:
                log.warning(
                    "the %s are not the configuration's: %r changed them on the page at %s (%s)",
                    name,
                    changed.by,
                    changed.at.isoformat(timespec="seconds"),
                    self._file.path,
                )


def _now() -> datetime:
    return datetime.now(timezone.utc).replace(microsecond=0)
