"""Has models loaded and kept at the times that an administrator has said, or says meanwhile.

What holds when is said by `sharing.windows`, what a pin means for others by `scheduling`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone

from ollama_nb_server.answering.app_context import AppContext
from ollama_nb_server.answering.preparation import find, lease, merged_options
from ollama_nb_server.library.model import Model
from ollama_nb_server.scheduling.context import NOBODY
from ollama_nb_server.sharing.windows import Pin, next_change, span_at
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
        self._pins, self._zone = app.rules.pins, app.settings.sharing.zone
        self._changed, self._edited = asyncio.Event(), asyncio.Event()
        self._keys: dict[str, str] = {}  # of the models that pins have named, by these names
        self._set: set[str] = set()  # the keys that were pinned, until the next change
        self._let_go: set[str] = set()  # those of them that somebody has unloaded
        self._change: datetime | None = None
        self._load: tuple[str, asyncio.Task[None]] | None = None  # what is being loaded
        self._task = asyncio.create_task(self._run())

    def look_again(self) -> None:
        """A worker has gone: it may have been a pinned model's."""
        self._changed.set()

    async def change(self, pins: tuple[Pin, ...]) -> None:
        """Other pins hold: what is pinned no more is let go at once, what is new is loaded soon."""
        self._note_unloaded()
        before = {name for pin in self._pins for name in pin.models}
        new = {name for pin in pins for name in pin.models} - before
        self._pins = pins
        self._let_go -= {self._keys[name] for name in new if name in self._keys}
        now = self._clock()
        ends = {
            self._keys[name]: end for name, end in self._wanted(now).items() if name in self._keys
        }
        self._pin_only({key: end for key, end in ends.items() if key not in self._let_go}, now)
        if self._load is not None and self._load[0] not in self._set:
            self._load[1].cancel()
        self._edited.set()
        self._changed.set()

    async def close(self) -> None:
        """End it; what is pinned stays so until the scheduler closes."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            self._changed.clear()
            self._edited.clear()
            is_done = await self._pin()
            left_s = min(self._seconds_to_change(), LOOK_S)
            if is_done and not await _is_set(self._changed, left_s):
                continue
            await _is_set(self._edited, min(self._retry_s, self._seconds_to_change()))

    def _seconds_to_change(self) -> float:
        if self._change is None:
            return LOOK_S
        return max((self._change - self._clock()).total_seconds(), 0.01)

    async def _pin(self) -> bool:
        """Have what is pinned now loaded; whether all of it is, or something else is wanted."""
        now = self._clock()
        if self._change is None or now >= self._change:
            self._set, self._let_go = set(), set()
        self._change = next_change(self._pins, now, self._zone)
        wanted = self._wanted(now)
        models = {name: await self._found(name) for name in wanted}
        if self._edited.is_set():
            return False
        self._keys |= {name: str(m.weights) for name, m in models.items() if m is not None}
        self._note_unloaded()
        pinned = {
            str(model.weights): (name, model)
            for name, model in models.items()
            if model is not None and str(model.weights) not in self._let_go
        }
        self._pin_only({key: wanted[name] for key, (name, _) in pinned.items()}, now)
        loaded = {running.weights for running in self._app.scheduler.running()}
        missing = [(key, *found) for key, found in pinned.items() if key not in loaded]
        absent = {name for name, model in models.items() if model is None}
        self._forget_told(absent | {name for _, name, _ in missing})
        done = [await self._loaded(*each) for each in missing]
        return all(done) and None not in models.values()

    def _wanted(self, now: datetime) -> dict[str, datetime]:
        """The names that are pinned now, and until when."""
        wanted: dict[str, datetime] = {}
        for pin in self._pins:
            if span := span_at(pin, now, self._zone):
                for name in pin.models:
                    wanted[name] = max(span.end, wanted.get(name, now + timedelta(0)))
        return wanted

    def _note_unloaded(self) -> None:
        """Take note of what somebody has unloaded that was pinned."""
        self._let_go |= self._set - self._app.scheduler.pins.keys()

    def _pin_only(self, ends: Mapping[str, datetime], now: datetime) -> None:
        """Have the scheduler keep these, and no others."""
        self._set = set(ends)
        self._app.scheduler.pin({key: (end - now).total_seconds() for key, end in ends.items()})

    def _forget_told(self, missing: set[str]) -> None:
        """Tell no more why something is not loaded, unless it is missing still."""
        for name in self._app.unpinned.keys() - missing:
            del self._app.unpinned[name]

    async def _found(self, name: str) -> Model | None:
        try:
            return await find(self._app, NOBODY.caller, name)
        except KNOWN as error:
            log.warning("%s is pinned, but: %s", name, error)
            self._app.unpinned[name] = str(error)
            return None

    async def _loaded(self, key: str, name: str, model: Model) -> bool:
        """Load a model; whether that went well, or nobody wants it any more."""
        if key not in self._set:
            return True
        load = asyncio.create_task(self._lease(model, merged_options(self._app, model, None)))
        self._load = key, load
        try:
            await asyncio.wait({load}, timeout=self._seconds_to_change())
        finally:
            self._load = None
            load.cancel()
            await asyncio.gather(load, return_exceptions=True)
        if load.cancelled():
            return self._late(key, name)
        error = load.exception()
        if error is None:
            self._app.unpinned.pop(name, None)
            log.info("%s is loaded, and pinned", name)
            return True
        if not isinstance(error, KNOWN):
            raise error
        again = f"tried again in {self._retry_s:g} s"
        log.warning("%s is pinned, but does not load (%s): %s", name, again, error)
        self._app.unpinned[name] = f"{error} ({again})"
        return False

    def _late(self, key: str, name: str) -> bool:
        """What a load that was broken off means."""
        if key in self._set:
            log.warning("%s is pinned, but was not loaded in time", name)
        return key not in self._set

    async def _lease(self, model: Model, options: Options) -> None:
        async with lease(self._app, NOBODY, model, options, None, for_pin=True):
            pass


async def _is_set(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event for so long; whether it came."""
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except asyncio.TimeoutError:
        return False
    return True
