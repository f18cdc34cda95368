"""Opens the rooms for both apps when the first request needs them; closes them in reverse."""

from __future__ import annotations

import asyncio
import logging
import math
import time

from ollama_nb_server.answering.rooms import Rooms
from ollama_nb_server.engine.messages import LoadSpec
from ollama_nb_server.engine.process import Worker
from ollama_nb_server.environment import Settings
from ollama_nb_server.library.store import Store
from ollama_nb_server.scheduling.scheduler import Scheduler

log = logging.getLogger(__name__)

DEFAULT_MAX_LOADED = 3


class House:
    """The rooms and their life."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._rooms: Rooms | None = None
        self._tidying: asyncio.Task[None] | None = None

    async def rooms(self) -> Rooms:
        """The rooms; made by the first call."""
        if self._rooms is None:
            store = Store(self.settings.models, removes=not self.settings.no_prune)
            self._rooms = Rooms(store, self._scheduler(), self.settings)
            self._tidying = asyncio.create_task(self._tidy(store))
        return self._rooms

    async def _tidy(self, store: Store) -> None:
        """Let go of what nobody needs, beside the first requests; not worth an error to anybody."""
        try:
            await asyncio.to_thread(store.tidy, time.time())
        except OSError as error:
            log.warning("the model store was not tidied: %s", error)

    def _scheduler(self) -> Scheduler:
        settings = self.settings
        limit = None if math.isinf(settings.load_timeout_s) else settings.load_timeout_s

        async def start(spec: LoadSpec) -> Worker:
            return await Worker.start(spec, timeout_s=limit)

        return Scheduler(
            max_loaded=settings.max_loaded_models or DEFAULT_MAX_LOADED,
            max_queue=settings.max_queue,
            default_keep_alive=settings.keep_alive_s,
            start_worker=start,
        )

    @property
    def busy(self) -> bool:
        """Whether a model is loaded."""
        return self._rooms is not None and bool(self._rooms.scheduler.running())

    async def close(self) -> None:
        """Wait for the tidying; stop every worker."""
        if self._tidying is not None:
            await self._tidying
        if self._rooms is not None:
            await self._rooms.scheduler.close()
