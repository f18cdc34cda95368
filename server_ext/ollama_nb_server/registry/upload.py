"""The upload of one blob: mounted, or sent in parts that the registry chains or redirects (3.7)."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx

from ollama_nb_server.library.errors import InvalidName
from ollama_nb_server.library.manifest import Layer
from ollama_nb_server.library.names import ModelName
from ollama_nb_server.registry.answers import raise_for, redirect
from ollama_nb_server.registry.errors import (
    FileDoesNotExist,
    MaxRetriesExceeded,
    Refused,
    RegistryError,
    Unauthorized,
    UnexpectedAnswer,
    Unreachable,
)
from ollama_nb_server.registry.parts import Part, plan
from ollama_nb_server.registry.progress import Progress
from ollama_nb_server.registry.session import Session
from ollama_nb_server.registry.threads import finished

log = logging.getLogger(__name__)

CHUNK_BYTES = 1 << 18


class Upload:
    """One blob on its way out; `size` is the file's."""

    def __init__(self, session: Session, layer: Layer, path: Path, size: int) -> None:
        self._session, self._layer, self._path, self._size = session, layer, path, size
        self._limits = session.limits
        self._parts = plan(size, self._limits)
        self._sums: dict[int, bytes] = {}
        self._at_once = asyncio.Semaphore(self._limits.num_parts)

    def now(self) -> Progress:
        """How far it is."""
        status, digest = f"pushing {self._layer.digest.hex[:12]}", self._layer.digest.colon
        return Progress(status, digest, self._size, sum(p.completed for p in self._parts))

    async def run(self) -> None:
        """All steps, in order."""
        address = await self._begun()
        if address is None:
            return
        direct: list[asyncio.Task[None]] = []
        try:
            for part in self._parts:
                address, place = await self._again(self._patching(part, address), part)
                if place is not None:
                    await self._at_once.acquire()
                    direct.append(asyncio.ensure_future(self._put(part, place)))
            await asyncio.gather(*direct)
        finally:
            for task in direct:
                task.cancel()
            await asyncio.gather(*direct, return_exceptions=True)
        await self._commit(address)

    async def _begun(self) -> httpx.URL | None:
        """Ask for an upload; none is needed where the registry has the blob in another model."""
        url, source = self._session.uploads_url, self._layer.source
        try:
            name = ModelName.parse(source)
            mount = {"from": f"{name.namespace}/{name.model}", "mount": self._layer.digest.colon}
            url = url.copy_merge_params(mount)
        except InvalidName:
            pass  # it came from a file
        async with self._session.request("POST", url, {"Content-Length": "0"}) as response:
            return None if response.status_code == 201 else _next(response)

    def _patching(
        self, part: Part, address: httpx.URL
    ) -> Callable[[], Awaitable[tuple[httpx.URL, httpx.URL | None]]]:
        headers = {
            "X-Redirect-Uploads": "1",
            "Content-Range": f"{part.offset}-{part.end - 1}",
        }

        async def patch() -> tuple[httpx.URL, httpx.URL | None]:
            """The next address; beside it the place for this part's bytes, if it is another."""
            used = self._session.authorization(address)
            response = await self._sent("PATCH", part, address, headers)
            try:
                if response.status_code == 401:
                    await self._session.authorise(response, used)
                    raise _TokenRenewed
                await raise_for(response, self._limits.max_reason_bytes)
                place = redirect(response)
                if place is not None:
                    part.completed = 0
                return _next(response), place
            finally:
                await response.aclose()

        return patch

    async def _put(self, part: Part, place: httpx.URL) -> None:
        """The bytes of a part, straight to where the registry keeps them; it learns no token."""

        async def put() -> None:
            response = await self._session.web.ask(
                "PUT",
                place,
                self._headers(part),
                self._bytes(part),
                silent_s=self._limits.stored_s(part.size),
            )
            try:
                await raise_for(response, self._limits.max_reason_bytes)
            finally:
                await response.aclose()

        try:
            await self._again(put, part)
        finally:
            self._at_once.release()

    async def _again(
        self, operation: Callable[[], Awaitable[Any]], part: Part | None = None
    ) -> Any:
        """As often as it takes; a failed try's bytes of a part do not count."""
        what = "commit" if part is None else f"part {part.number}"
        failures = 0
        while True:
            try:
                return await operation()
            except RegistryError as error:
                if part is not None:
                    part.completed = 0
                failures += 1
                if not (error.temporary or isinstance(error, Unreachable)):
                    raise
                if failures >= self._limits.tries:
                    raise MaxRetriesExceeded(error) from error
                short = self._layer.digest.hex[:12]
                log.info("pushing %s, %s: %s: trying again", short, what, error)
                await asyncio.sleep(self._limits.pause_s(failures))

    async def _sent(
        self, method: str, part: Part, address: httpx.URL, headers: dict[str, str]
    ) -> httpx.Response:
        own, content = {**self._headers(part), **headers}, self._bytes(part)
        patience_s = self._limits.stored_s(part.size)
        return await self._session.once(method, address, own, content, silent_s=patience_s)

    def _headers(self, part: Part) -> dict[str, str]:
        return {"Content-Type": "application/octet-stream", "Content-Length": str(part.size)}

    async def _bytes(self, part: Part) -> AsyncIterator[bytes]:
        """A part's bytes; what has been sent of it counts as completed, its MD5 sum is kept."""
        part.completed, md5 = 0, hashlib.md5(usedforsecurity=False)
        with self._path.open("rb") as file:
            file.seek(part.offset)
            while part.missing:
                data = await finished(file.read, min(CHUNK_BYTES, part.missing))
                if not data:
                    raise UnexpectedAnswer(f"{self._path.name} became shorter while it was pushed")
                md5.update(data)
                yield data
                part.completed += len(data)
        self._sums[part.number] = md5.digest()

    async def _commit(self, address: httpx.URL) -> None:
        sums = b"".join(self._sums[part.number] for part in self._parts)
        whole = hashlib.md5(sums, usedforsecurity=False).hexdigest()
        url = address.copy_merge_params(
            {"digest": self._layer.digest.colon, "etag": f"{whole}-{len(self._parts)}"}
        )

        await self._again(self._committing(url))

    def _committing(self, url: httpx.URL) -> Callable[[], Awaitable[None]]:
        """The last step. A try that seemed to fail may have worked: then the registry has it all.

        It knows nothing more of an upload that it has brought to its end, and would refuse it.
        """
        tries = 0

        async def put() -> None:
            nonlocal tries
            tries += 1
            if tries > 1 and await self._session.has(self._layer.digest):
                return
            headers, patience_s = {"Content-Length": "0"}, self._limits.commit_s
            try:
                async with self._session.request("PUT", url, headers, silent_s=patience_s):
                    pass
            except (FileDoesNotExist, Refused):
                if tries == 1 or not await self._session.has(self._layer.digest):
                    raise

        return put


class _TokenRenewed(Unauthorized):
    """There is a new token now: the same again."""

    temporary = True


def _next(response: httpx.Response) -> httpx.URL:
    """Where an upload goes on; relative to where it was, if need be."""
    location = response.headers.get("Docker-Upload-Location") or response.headers.get("Location")
    if not location:
        raise UnexpectedAnswer("the registry does not say where an upload goes on")
    return response.url.join(location)
