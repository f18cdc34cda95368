"""The download of one blob: parts side by side into one sparse file, hashed on the way (3.4-3.6).

A blob becomes visible when its digest is known to be right; until then it can be gone on with.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from contextlib import AbstractAsyncContextManager
from io import FileIO
from pathlib import Path

import httpx

from ollama_nb_server.library.blobs import Blobs, touch
from ollama_nb_server.library.manifest import Layer
from ollama_nb_server.registry.errors import (
    CutShort,
    FileDoesNotExist,
    MaxRetriesExceeded,
    PartStalled,
    PlaceGone,
    Refused,
    RegistryError,
    SizeDiffers,
    StoreFull,
    Unreachable,
    WrongDigest,
)
from ollama_nb_server.registry.ownership import Ownership
from ollama_nb_server.registry.parts import Part, PartFiles, plan
from ollama_nb_server.registry.pieces import pieces
from ollama_nb_server.registry.progress import Progress
from ollama_nb_server.registry.session import BlobSource, Session, patiently
from ollama_nb_server.registry.threads import finished, together
from ollama_nb_server.registry.verification import Verification

log = logging.getLogger(__name__)


class Download:
    """Runs from its making on; whoever needs the blob follows it. `followers` is kept by others."""

    def __init__(self, root: Path, blobs: Blobs, layer: Layer, session: Session) -> None:
        self.digest, self._announced = layer.digest, layer.size
        self._blobs, self._session, self._limits = blobs, session, session.limits
        self._files = PartFiles(blobs.path(layer.digest))
        self._owner = Ownership(root, layer.digest, self._files, self._limits)
        self._parts: list[Part] = []
        self._total = layer.size
        self._waiting = False
        self._place: BlobSource | None = None
        self._locating = asyncio.Lock()
        self._at_once = asyncio.Semaphore(self._limits.num_parts)
        self.followers, self.ending = 0, False
        # Done when all bytes are here; the task goes on until the blob is visible.
        self.transferred: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.task = asyncio.ensure_future(self._run())

    # --- for those who follow ---------------------------------------------------------------------

    def now(self) -> Progress:
        """How far it is."""
        short = self.digest.hex[:12]
        if self._waiting:
            return Progress(f"waiting for another program that is pulling {short}")
        done = sum(part.completed for part in self._parts)
        return Progress(f"pulling {short}", self.digest.colon, self._total, done)

    async def verified(self) -> None:
        """Wait until the blob is there.

        Raises
        ------
        RegistryError
            The reason why it will not be, to everyone who waits.
        """
        await asyncio.wait({self.task})
        if self.task.cancelled():
            raise CutShort("the server ended the download")
        self.task.result()

    def cancel(self) -> None:
        """Stop; what has come is kept, and the states of its parts say how much that is."""
        self.ending = True
        self.task.cancel()

    # --- the steps --------------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            async with self._owner.held(self._keeps_waiting):
                self._waiting = False
                if not self._blobs.has(self.digest):
                    await self._download()
        finally:
            if not self.transferred.done():
                self.transferred.set_result(None)

    def _keeps_waiting(self) -> bool:
        self._waiting = not self._blobs.has(self.digest)
        return self._waiting

    async def _download(self) -> None:
        await self._prepare()
        verification = Verification(self._files.data, self._total, self._front, self._limits)
        hashing = asyncio.ensure_future(verification.digest())
        try:
            await self._transfer(verification)
            self.transferred.set_result(None)
            got = await hashing
        finally:
            hashing.cancel()
            await asyncio.gather(hashing, return_exceptions=True)
        if got != self.digest:
            await finished(self._files.remove)
            raise WrongDigest(self.digest.colon, got.colon)
        await finished(self._finish)

    async def _prepare(self) -> None:
        """Find the parts of a download that was begun, or begin one."""
        parts = await finished(self._files.load, self._announced) if self._announced else None
        if parts is None:
            self._total = await self._size()
            await finished(self._require_room, self._total)  # or a lie would make endless parts
            parts = plan(self._total, self._limits)
            await finished(self._files.begin, parts)
        self._parts = parts
        holes = self._total - await finished(self._files.allocated)
        await finished(self._require_room, min(holes, sum(part.missing for part in parts)))
        log.info("pulling %s in %d part(s)", self.digest.hex[:12], len(parts))

    async def _size(self) -> int:
        """The size by the registry; the manifest must agree."""

        async def ask() -> int:
            url = self._session.blob_url(self.digest)
            async with self._session.request("HEAD", url) as response:
                length = response.headers.get("Content-Length", "")
                return int(length) if length.isascii() and length.isdigit() else self._announced

        size = await patiently(ask, self._limits.tries, self._limits.pause_s)
        if size != self._announced:
            raise SizeDiffers(self.digest.colon, self._announced, size)
        return size

    def _require_room(self, num_bytes: int) -> None:
        self._blobs.folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self._blobs.folder).free
        if num_bytes > free:
            raise StoreFull(str(self._blobs.folder.parent), num_bytes - free)

    def _front(self) -> int:
        """Up to where the file has no hole."""
        for part in self._parts:
            if part.missing:
                return part.start
        return self._total

    async def _transfer(self, verification: Verification) -> None:
        verification.moved()
        left = [part for part in self._parts if part.missing]
        await together(*(self._fetch(part, i, verification) for i, part in enumerate(left)))

    async def _fetch(self, part: Part, rank: int, verification: Verification) -> None:
        """One part, in as many tries as it takes; whatever ends this, its state is written."""
        async with self._at_once:
            try:
                if rank < self._limits.num_parts:
                    await asyncio.sleep(self._limits.stagger_s * rank)
                await self._tries(part, verification)
            finally:
                if part.completed != part.saved:
                    await finished(self._files.save, part)

    async def _tries(self, part: Part, verification: Verification) -> None:
        failures = 0
        while part.missing:
            before = part.completed
            try:
                await self._try(part, verification)
            except PartStalled:
                log.info("%s part %d stalled: trying again", self.digest.hex[:12], part.number)
            except RegistryError as error:
                if not (error.temporary or isinstance(error, Unreachable)):
                    raise
                in_vain = part.completed - before < self._limits.progress_bytes
                failures = failures + 1 if in_vain else 1
                if failures >= self._limits.tries:
                    raise MaxRetriesExceeded(error) from error
                log.info("%s part %d: %s: trying again", self.digest.hex[:12], part.number, error)
                await finished(self._files.save, part)
                await asyncio.sleep(self._limits.pause_s(failures))

    async def _try(self, part: Part, verification: Verification) -> None:
        place = await self._located()
        try:
            async with self._asked(place, part) as response:
                with self._files.data.open("r+b", buffering=0) as file:
                    file.seek(part.start)
                    async for piece in pieces(response, part.start, part.missing):
                        await finished(self._write, file, piece, part)
                        verification.moved()
        except (Refused, FileDoesNotExist, Unreachable) as error:
            if place.ours:
                raise
            self._place = None  # its address may have run out
            raise PlaceGone(str(error)) from error
        except httpx.ReadTimeout as error:
            raise PartStalled from error
        except httpx.TransportError as error:
            raise CutShort(str(error) or "unexpected EOF") from error
        if part.missing:
            raise CutShort

    def _asked(self, place: BlobSource, part: Part) -> AbstractAsyncContextManager[httpx.Response]:
        """Ask for what is missing; a place that is not the registry's learns nothing of us."""
        headers = {"Range": f"bytes={part.start}-{part.end - 1}"}
        half_bytes = self._limits.half_bytes(len(self._parts))
        if place.ours:
            return self._session.request("GET", place.url, headers, half_bytes=half_bytes)
        return self._session.web.piece(place.url, headers, half_bytes)

    async def _located(self) -> BlobSource:
        async with self._locating:
            if self._place is None:
                self._place = await self._session.locate(self.digest)
            return self._place

    def _write(self, file: FileIO, piece: memoryview, part: Part) -> None:
        while piece:
            num_bytes = file.write(piece)
            part.completed += num_bytes
            piece = piece[num_bytes:]
        if part.completed - part.saved >= self._limits.checkpoint_bytes:
            self._files.save(part)

    def _finish(self) -> None:
        blob = self._blobs.path(self.digest)
        self._files.finish(blob)
        touch(blob)
