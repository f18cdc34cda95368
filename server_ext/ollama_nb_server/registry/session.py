"""Requests about one repository of a registry: addresses, tokens, redirects, what goes wrong."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import httpx
import orjson

from ollama_nb_server.library.digests import Digest
from ollama_nb_server.library.names import ModelName
from ollama_nb_server.registry.answers import bounded, raise_for, redirect, shown
from ollama_nb_server.registry.challenge import Challenge, nonce, to_be_signed
from ollama_nb_server.registry.errors import (
    FileDoesNotExist,
    RegistryError,
    TooManyRedirects,
    Unauthorized,
    UnexpectedAnswer,
)
from ollama_nb_server.registry.identity import Identity
from ollama_nb_server.registry.threads import in_thread
from ollama_nb_server.registry.web import Content, Web

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class BlobSource:
    """Where a blob is to be had; `ours`: it is the registry itself, which may want the token."""

    url: httpx.URL
    ours: bool


class Session:
    """One pull or push; its tokens live as long, one for each host and scope."""

    def __init__(self, web: Web, identity: Identity, name: ModelName, *, insecure: bool) -> None:
        self.web, self.name, self.limits = web, name, web.limits
        self._identity = identity
        self._base = httpx.URL(f"{'http' if insecure else 'https'}://{name.host}/v2/")
        self._tokens: dict[tuple[str, str], str] = {}
        self._scope = ""
        self._authorising = asyncio.Lock()

    # --- addresses --------------------------------------------------------------------------------

    @property
    def _repository(self) -> str:
        return f"{self.name.namespace}/{self.name.model}"

    @property
    def manifest_url(self) -> httpx.URL:
        """The address of the model's manifest."""
        return self._base.join(f"{self._repository}/manifests/{self.name.tag}")

    def blob_url(self, digest: Digest) -> httpx.URL:
        """The address of a blob."""
        return self._base.join(f"{self._repository}/blobs/{digest.colon}")

    @property
    def uploads_url(self) -> httpx.URL:
        """The address where uploads begin."""
        return self._base.join(f"{self._repository}/blobs/uploads/")

    # --- requests ---------------------------------------------------------------------------------

    @asynccontextmanager
    async def request(
        self,
        method: str,
        url: httpx.URL,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        *,
        leave: bool = True,
        half_bytes: int | None = None,
        silent_s: float | None = None,
    ) -> AsyncIterator[httpx.Response]:
        """The answer, its body unread; a token is fetched if one is demanded, once.

        Parameters
        ----------
        leave
            Follow redirects of a GET or HEAD to other hosts too; if not, the first such is the
            answer.
        half_bytes
            A large answer is expected: half of the buffer for it.
        silent_s
            How long the registry may be silent before it answers, if longer than `stall_s`.

        Raises
        ------
        FileDoesNotExist, Unauthorized, Refused
            By status.
        """
        for _ in range(2):
            used = self.authorization(url)
            once = partial(
                self.once,
                method,
                headers=headers or {},
                content=content,
                half_bytes=half_bytes,
                silent_s=silent_s,
            )
            response = await self._followed(once, method, url, leave=leave)
            try:
                if response.status_code != 401:
                    await raise_for(response, self.limits.max_reason_bytes)
                    yield response
                    return
                await self.authorise(response, used)
            finally:
                await response.aclose()
        raise Unauthorized

    async def _followed(
        self,
        once: Callable[..., Awaitable[httpx.Response]],
        method: str,
        url: httpx.URL,
        *,
        leave: bool,
    ) -> httpx.Response:
        for _ in range(self.limits.max_redirects + 1):
            response = await once(url=url)
            target = redirect(response) if method in ("GET", "HEAD") else None
            if target is None or not (leave or target.host == url.host):
                return response
            await response.aclose()
            url = target
        raise TooManyRedirects(self.limits.max_redirects)

    async def once(
        self,
        method: str,
        url: httpx.URL,
        headers: Mapping[str, str],
        content: Content = None,
        half_bytes: int | None = None,
        silent_s: float | None = None,
    ) -> httpx.Response:
        """Send one request and take its answer as it comes; the caller closes it."""
        own = {"User-Agent": self.web.user_agent, **headers}
        if authorization := self.authorization(url):
            own["Authorization"] = authorization
        return await self.web.ask(method, url, own, content, half_bytes, silent_s)

    async def text(
        self, method: str, url: httpx.URL, headers: Mapping[str, str], limit: int
    ) -> bytes:
        """The whole body of an answer, if it is not larger than `limit`."""
        async with self.request(method, url, headers) as response:
            return await asyncio.wait_for(bounded(response, limit), self.limits.head_s)

    async def has(self, digest: Digest) -> bool:
        """Whether the registry has a blob."""

        async def ask() -> bool:
            try:
                async with self.request("HEAD", self.blob_url(digest)):
                    return True
            except FileDoesNotExist:
                return False

        return await patiently(ask, self.limits.quick_tries, self.limits.pause_s)

    async def locate(self, digest: Digest) -> BlobSource:
        """Where a blob's bytes are; a stock registry has them itself, others redirect."""
        url = self.blob_url(digest)
        async with self.request("GET", url, {"Range": "bytes=0-0"}, leave=False) as response:
            if target := redirect(response):
                return BlobSource(target, ours=False)
            if response.status_code not in (200, 206):
                raise UnexpectedAnswer(f"unexpected status code {response.status_code}")
            return BlobSource(response.url, ours=True)

    # --- tokens -----------------------------------------------------------------------------------

    def authorization(self, url: httpx.URL) -> str:
        """The header for this address: nobody but the registry itself is shown its token."""
        if origin(url) != origin(self._base):
            return ""
        token = self._tokens.get((url.netloc.decode(), self._scope))
        return f"Bearer {token}" if token else ""

    async def authorise(self, response: httpx.Response, used: str) -> None:
        """Get the token that an answer demands, unless somebody has just done so."""
        challenge = Challenge.parse(response.headers.get("WWW-Authenticate", ""))
        if origin(response.url) != origin(self._base) or challenge is None:
            raise Unauthorized
        async with self._authorising:
            if self.authorization(response.url) == used:
                await self._fetch_token(challenge)

    async def _fetch_token(self, challenge: Challenge) -> None:
        url = httpx.URL(challenge.url(origin(self._base), int(time.time()), nonce()))
        signed = await in_thread(self._identity.sign, to_be_signed(str(url)))
        headers = {"Authorization": signed, "User-Agent": self.web.user_agent}
        response = await self.web.ask("GET", url, headers)
        try:
            await raise_for(response, self.limits.max_reason_bytes)
            reading = bounded(response, self.limits.max_text_bytes)
            said = orjson.loads(await asyncio.wait_for(reading, self.limits.head_s))
            token = said.get("token") or said.get("access_token")
        except (orjson.JSONDecodeError, AttributeError) as error:
            raise UnexpectedAnswer(f'"{shown(url)}" answered without a token') from error
        finally:
            await response.aclose()
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise UnexpectedAnswer(f'"{shown(url)}" answered without a token')
        self._scope = challenge.scope
        self._tokens[self._base.netloc.decode(), challenge.scope] = token


def origin(url: httpx.URL) -> str:
    """Scheme, host and port."""
    return f"{url.scheme}://{url.netloc.decode()}"


async def patiently(
    operation: Callable[[], Awaitable[T]], tries: int, pause_s: Callable[[int], float]
) -> T:
    """Do it again as long as what goes wrong is temporary; the last error is the caller's."""
    failures = 0
    while True:
        try:
            return await operation()
        except RegistryError as error:
            failures += 1
            if not error.temporary or failures >= tries:
                raise
            await asyncio.sleep(pause_s(failures))
