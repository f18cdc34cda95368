"""The running downloads of this process: who needs the same blob shares one (3.5)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ollama_nb_server.library.manifest import Layer
from ollama_nb_server.library.store import Store
from ollama_nb_server.registry.download import Download
from ollama_nb_server.registry.session import Session


class Downloads:
    """By digest; the first who asks brings the registry and the token."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._running: dict[str, Download] = {}

    @asynccontextmanager
    async def joined(self, layer: Layer, session: Session) -> AsyncIterator[Download]:
        """The download of a blob, begun if need be; it ends when the last has left."""
        download = await self._running_or_new(layer, session)
        download.followers += 1
        try:
            yield download
        finally:
            download.followers -= 1
            if not download.followers and not download.task.done():
                download.cancel()

    async def _running_or_new(self, layer: Layer, session: Session) -> Download:
        key = layer.digest.hex
        while (running := self._running.get(key)) is not None and running.ending:
            await asyncio.wait({running.task})
        if running is not None:
            return running
        download = Download(self._store.root, self._store.blobs, layer, session)
        self._running[key] = download
        download.task.add_done_callback(lambda task: self._forget(key, task))
        return download

    def _forget(self, key: str, task: asyncio.Future[None]) -> None:
        del self._running[key]
        if not task.cancelled():
            task.exception()  # seen; who follows raises it

    async def close(self) -> None:
        """Stop them all; the states of their parts are written."""
        tasks = [download.task for download in self._running.values()]
        for download in list(self._running.values()):
            if not download.ending:
                download.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
