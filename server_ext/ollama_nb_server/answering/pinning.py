"""Has models loaded and kept at the times that an administrator has said.

What holds when is said by `sharing.windows`, what a pin means for others by `scheduling`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta, timezone

from ollama_nb_server.answering.app_context import AppContext
from ollama_nb_server.answering.preparation import find, lease, merged_options
from ollama_nb_server.library.model import Model
from ollama_nb_server.scheduling.context import NOBODY
from ollama_nb_server.sharing.windows import next_change, span_at
from ollama_nb_server.wire.errors import KNOWN
from ollama_nb_server.wire.options import Options

log = logging.getLogger(__name__)

RETRY_S = 60.0
LOOK_S = 3600.0  # clocks are set, and machines sleep: nobody is told of that


def utc() -> datetime:
    """The time."""
    return datetime.now(timezone.utc)


class Pinning:
    """A task that wakes when a pin begins or ends, and tries again what did not load."""

    def __init__(
        self, app: AppContext, clock: Callable[[], datetime] = utc, retry_s: float = RETRY_S
    ) -> None:
        self._app, self._clock, self._retry_s = app, clock, retry_s
        self._sharing = app.settings.sharing
        self._changed = asyncio.Event()
        self._set: set[str] = set()  # the keys that were pinned, until the next change
        self._let_go: set[str] = set()  # those of them that somebody has unloaded
        self._change: datetime | None = None
        self._task = asyncio.create_task(self._run())

    def look_again(self) -> None:
        """A worker has gone: it may have been a pinned model's."""
        self._changed.set()

    async def close(self) -> None:
        """End it; what is pinned stays so until the scheduler closes."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            self._changed.clear()
            is_done = await self._pin()
            left_s = self._seconds_to_change()
            if is_done:
                with suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), min(left_s, LOOK_S))
                    await asyncio.sleep(min(self._retry_s, self._seconds_to_change()))
            else:
                await asyncio.sleep(min(self._retry_s, left_s))

    def _seconds_to_change(self) -> float:
        if self._change is None:
            return LOOK_S
        return max((self._change - self._clock()).total_seconds(), 0.01)

    async def _pin(self) -> bool:
        """Have what is pinned now loaded; whether all of it is."""
        now = self._clock()
        if self._change is None or now >= self._change:
            self._set, self._let_go = set(), set()
        self._change = next_change(self._sharing.pins, now, self._sharing.zone)
        wanted = self._wanted(now)
        models = {name: await self._found(name) for name in wanted}
        self._let_go |= self._set - self._app.scheduler.pins.keys()
        pinned = {
            str(model.weights): (model, wanted[name])
            for name, model in models.items()
            if model is not None and str(model.weights) not in self._let_go
        }
        self._set = set(pinned)
        left = {key: (end - now).total_seconds() for key, (_, end) in pinned.items()}
        self._app.scheduler.pin(left)
        loaded = {running.weights for running in self._app.scheduler.running()}
        missing = [model for key, (model, _) in pinned.items() if key not in loaded]
        done = [await self._loaded(model) for model in missing]
        return all(done) and None not in models.values()

    def _wanted(self, now: datetime) -> dict[str, datetime]:
        """The names that are pinned now, and until when."""
        wanted: dict[str, datetime] = {}
        for pin in self._sharing.pins:
            if span := span_at(pin, now, self._sharing.zone):
                for name in pin.models:
                    wanted[name] = max(span.end, wanted.get(name, now + timedelta(0)))
        return wanted

    async def _found(self, name: str) -> Model | None:
        try:
            return await find(self._app, NOBODY.caller, name)
        except KNOWN as error:
            log.warning("%s is pinned, but: %s", name, error)
            return None

    async def _loaded(self, model: Model) -> bool:
        """Load a model; whether that went well."""
        options = merged_options(self._app, model, None)
        try:
            await asyncio.wait_for(self._load(model, options), self._seconds_to_change())
        except asyncio.TimeoutError:
            log.warning("%s is pinned, but was not loaded in time", model.name.display)
        except KNOWN as error:
            again = f"tried again in {self._retry_s:g} s"
            log.warning(
                "%s is pinned, but does not load (%s): %s", model.name.display, again, error
            )
        else:
            log.info("%s is loaded, and pinned", model.name.display)
            return True
        return False

    async def _load(self, model: Model, options: Options) -> None:
        async with lease(self._app, NOBODY, model, options, None, for_pin=True):
            pass
