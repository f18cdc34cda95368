"""The way to registries: two httpx clients, one for questions and one for large answers.

Proxies are those of the environment, and never stand between us and this machine itself.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.request import getproxies, proxy_bypass

import httpx

from ollama_nb_server.registry.answers import raise_for, redirect, shown, unreachable
from ollama_nb_server.registry.bodies import BodyTransport
from ollama_nb_server.registry.errors import TooManyRedirects, Unreachable
from ollama_nb_server.registry.limits import Limits
from ollama_nb_server.registry.threads import in_thread

DIRECT = ("all://localhost", "all://127.0.0.1", "all://[::1]")
Content = bytes | AsyncIterator[bytes] | None


class Web:
    """Opened by the first request, since reading the certificates takes a while."""

    def __init__(self, limits: Limits, user_agent: str) -> None:
        self.limits, self.user_agent = limits, user_agent
        self._clients: tuple[httpx.AsyncClient, httpx.AsyncClient] | None = None

    async def _opened(self) -> tuple[httpx.AsyncClient, httpx.AsyncClient]:
        if self._clients is None:
            _keep_secrets_out_of_logs()
            tls = await in_thread(httpx.create_ssl_context)
            unlimited = httpx.Limits(max_connections=None, max_keepalive_connections=8)
            self._clients = self._clients or (
                httpx.AsyncClient(
                    verify=tls,
                    limits=unlimited,
                    mounts=dict.fromkeys(DIRECT),
                    headers={"Accept-Encoding": "identity"},
                ),
                httpx.AsyncClient(
                    transport=BodyTransport(tls),
                    headers={"Accept-Encoding": "identity", "Connection": "close"},
                ),
            )
        return self._clients

    async def ask(
        self,
        method: str,
        url: httpx.URL,
        headers: Mapping[str, str],
        content: Content = None,
        half_bytes: int | None = None,
        silent_s: float | None = None,
    ) -> httpx.Response:
        """Send a request as it is; the caller closes the answer, whose body is not yet read.

        Parameters
        ----------
        half_bytes
            A large answer is expected: half of the buffer for it.
        silent_s
            How long the server may be silent before it answers, if longer than `stall_s`.

        Raises
        ------
        Unreachable
            If there is no answer.
        """
        questions, bodies = await self._opened()
        large = half_bytes is not None and not proxied(url)
        client = bodies if large else questions
        try:
            request = client.build_request(
                method, url, headers=headers, content=content, timeout=self._timeout(silent_s)
            )
            request.extensions["half_bytes"] = half_bytes
            sending = client.send(request, stream=True)
            limit = max(self.limits.head_s, silent_s or 0.0) if content is None else None
            return await asyncio.wait_for(sending, limit)
        except asyncio.TimeoutError as error:
            raise Unreachable(method, shown(url), "no answer in time", temporary=True) from error
        except (httpx.TransportError, httpx.InvalidURL, ValueError) as error:
            raise unreachable(method, url, error) from error

    def _timeout(self, silent_s: float | None) -> httpx.Timeout:
        limits = self.limits
        read_s = limits.stall_s if silent_s is None else silent_s
        return httpx.Timeout(limits.stall_s, connect=limits.connect_s, read=read_s, pool=None)

    @asynccontextmanager
    async def piece(
        self, url: httpx.URL, headers: Mapping[str, str], half_bytes: int
    ) -> AsyncIterator[httpx.Response]:
        """The answer from a place that is no registry's; redirects are followed."""
        for _ in range(self.limits.max_redirects + 1):
            response = await self.ask("GET", url, headers, None, half_bytes)
            try:
                target = redirect(response)
                if target is None:
                    await raise_for(response, self.limits.max_reason_bytes)
                    yield response
                    return
                url = target
            finally:
                await response.aclose()
        raise TooManyRedirects(self.limits.max_redirects)

    async def close(self) -> None:
        """Close all connections."""
        for client in self._clients or ():
            await client.aclose()
        self._clients = None


def _keep_secrets_out_of_logs() -> None:
    """A query may be a signature that opens a blob to everyone; httpx logs it, httpcore headers."""
    logging.getLogger("httpx").addFilter(_without_query)
    logging.getLogger("httpcore").setLevel(logging.INFO)


def _without_query(record: logging.LogRecord) -> bool:
    if isinstance(record.args, tuple):
        record.args = tuple(shown(a) if isinstance(a, httpx.URL) else a for a in record.args)
    return True


def proxied(url: httpx.URL) -> bool:
    """Whether the environment puts a proxy before this address."""
    proxies = getproxies()
    if not proxies or is_loopback(url.host):
        return False
    return bool(proxies.get(url.scheme) or proxies.get("all")) and not proxy_bypass(url.host)


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
