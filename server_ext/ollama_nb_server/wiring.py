"""Opens the rooms for both apps when the first request needs them; closes them in reverse."""

from __future__ import annotations

import asyncio
import math

from ollama_nb_server.answering.rooms import Rooms
from ollama_nb_server.engine.messages import LoadSpec
from ollama_nb_server.engine.process import Worker
from ollama_nb_server.environment import Settings
from ollama_nb_server.library.store import Store
from ollama_nb_server.scheduling.scheduler import Scheduler

DEFAULT_MAX_LOADED = 3


class House:
    """The rooms and their life."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._rooms: Rooms | None = None

    async def rooms(self) -> Rooms:
        """The rooms; made by the first call."""
        if self._rooms is None:
            self._rooms = Rooms(
                await asyncio.to_thread(Store, self.settings.models),
                self._scheduler(),
                self.settings,
            )
        return self._rooms

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
        """Stop every worker."""
        if self._rooms is not None:
            await self._rooms.scheduler.close()
