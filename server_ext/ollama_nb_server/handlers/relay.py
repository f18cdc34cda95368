"""`/ollama` of a user's server on a Hub: every request goes on to the Hub's model server.

Jupyter's own login guards it; the service is called with the token of the server's user. Needs
none of the engine's packages.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import httpx
from tornado import web
from tornado.http1connection import HTTP1Connection
from tornado.iostream import StreamClosedError

from ollama_nb_server.handlers.early import EarlyAnswer
from ollama_nb_server.handlers.extension import Jupyter

CONNECT_S = 10.0
MISSED, SHORTEST_S = 6, 20.0  # heartbeats; a service on a busy machine is late
OF_A_HOP = frozenset(  # RFC 9110, 7.6.1
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding"}
    | {"upgrade", "proxy-authenticate", "proxy-authorization"}
)
# What Jupyter asks for and has checked; the address of its page may hold its token.
OURS = frozenset({"host", "authorization", "cookie", "x-xsrftoken", "origin", "referer"})
NOT_SHOWN = OF_A_HOP | {"date", "server", "set-cookie"}  # cookies are for the service's own pages
AWAY = (
    "the model server of this Hub does not answer. The Hub starts it again when it has ended: "
    "wait a few seconds and try once more"
)
CUT = (
    "the model server took no more of this upload: it has ended, or refuses it, as it does with "
    "what is too large and with uploads of users who may not change models"
)


class _Body:
    """A request's body on its way: a piece is taken when the service has taken the one before."""

    def __init__(self) -> None:
        self._pieces: asyncio.Queue[bytes] = asyncio.Queue(1)

    async def put(self, piece: bytes) -> None:
        await self._pieces.put(piece)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while piece := await self._pieces.get():
            yield piece


class Relay(EarlyAnswer, Jupyter):
    """Passes a request on as it comes, and its answer as that comes."""

    def initialize(self, prefix: str = "", service: str = "", token: str = "", **more: Any) -> None:
        """Take the address of the service, and whose token opens it."""
        super().initialize(prefix, **more)
        self._service, self._token = service, token
        self._body = _Body()
        self._sending: asyncio.Task[httpx.Response] | None = None
        self._answering: asyncio.Task[Any] | None = None
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(None, connect=CONNECT_S), trust_env=not _is_near(service)
        )
        self._is_whole = False

    async def prepare(self, **more: Any) -> None:
        """Let in whom Jupyter lets in, and call the service before the body is here."""
        await super().prepare(**more)
        if self._finished or self.request.method == "OPTIONS":
            return
        self.accept_body()
        self._sending = asyncio.ensure_future(self._client.send(self._request(), stream=True))

    def _request(self) -> httpx.Request:
        headers = {
            name: value
            for name, value in self.request.headers.get_all()
            if name.lower() not in OF_A_HOP | OURS
        }
        sent = self.request.headers
        has_body = sent.get("Content-Length", "0") != "0" or "Transfer-Encoding" in sent
        if self.request.path.rstrip("/") == self.prefix:
            headers["Accept"] = "*/*"  # the page is for who has logged in at the Hub by themselves
        return self._client.build_request(
            self.request.method or "GET",
            self._url(),
            headers={**headers, "Authorization": f"Bearer {self._token}"},
            content=self._body if has_body else None,
        )

    def _url(self) -> str:
        path = self.request.path[len(self.prefix) :]
        if {".", ".."} & set(unquote(path).split("/")):  # httpx would leave the service's path
            raise web.HTTPError(404, "there is no such path")
        query = [pair for pair in parse_qsl(self.request.query, True) if pair[0] != "token"]
        return f"{self._service}{path}{'?' if query else ''}{urlencode(query)}"

    async def take(self, chunk: bytes) -> None:
        """Pass a piece of the body on; a service that has answered takes no more."""
        assert self._sending is not None
        putting = asyncio.ensure_future(self._body.put(chunk))
        await asyncio.wait({putting, self._sending}, return_when=asyncio.FIRST_COMPLETED)
        if not putting.done():
            putting.cancel()
            await self._answer_early()

    async def _answer_early(self) -> None:
        """Tell why the service wants no more of the body."""
        assert self._sending is not None
        try:
            response = await self._sending
            said = b"".join([piece async for piece in response.aiter_raw()])
        except httpx.TransportError as error:
            self._lost(error)
        else:
            self._begin(response)
            self.finish(said)

    async def serve(self) -> None:
        """The body is here: answer as the service does."""
        if self._finished or self._sending is None:
            return
        self._answering = asyncio.current_task()
        try:
            ending = asyncio.ensure_future(self._body.put(b""))
            await asyncio.wait({ending, self._sending}, return_when=asyncio.FIRST_COMPLETED)
            self._is_whole = ending.done()
            await self._answer()
        except (StreamClosedError, asyncio.CancelledError):
            self.log.debug("ollama_nb: the client of %s went away", self.request.path)
        finally:
            ending.cancel()
            await self._client.aclose()

    async def _answer(self) -> None:
        assert self._sending is not None
        try:
            response = await self._sending
            self._begin(response)
            _end_in_silence(response)
            async for piece in response.aiter_raw():
                self.write(piece)
                await self.flush()
        except httpx.TransportError as error:
            self._lost(error)
        else:
            web.RequestHandler.finish(self)

    def _begin(self, response: httpx.Response) -> None:
        self.set_status(response.status_code, response.reason_phrase or None)
        self.clear_header("Content-Type")
        told = [each for each in response.headers.multi_items() if each[0].lower() not in NOT_SHOWN]
        for name, _ in told:
            self.clear_header(name)
        for name, value in told:
            self.add_header(name, self._here(value) if name.lower() == "location" else value)

    def _here(self, location: str) -> str:
        """A path of the service as one of this server."""
        there = urlsplit(self._service).path
        return self.prefix + location[len(there) :] if location.startswith(there) else location

    def _lost(self, error: httpx.TransportError) -> None:
        """The way to the service has broken: say so, or end a stream that had begun unfinished."""
        self.log.warning("ollama_nb: %s: %s", self._service, error or type(error).__name__)
        if not self._headers_written:
            if self._is_whole:
                self.set_header("Retry-After", "5")
                self._say(503, AWAY)
            else:
                self._say(502, CUT)
            return
        connection = self.request.connection
        assert isinstance(connection, HTTP1Connection)
        connection.stream.close()

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """What Jupyter refuses, in the shape of Ollama's errors."""
        error = (kwargs.get("exc_info") or (None, None))[1]
        said = getattr(error, "log_message", None) if isinstance(error, web.HTTPError) else None
        self._say(status_code, said or self._reason)

    def _say(self, status: int, sentence: str) -> None:
        self.set_status(status)
        self.set_header("Content-Type", "application/json; charset=utf-8")
        self.finish(json.dumps({"error": sentence}))

    def on_connection_close(self) -> None:
        """Who leaves here leaves there too."""
        super().on_connection_close()
        for task in (self._answering, self._sending):
            if task is not None:
                task.cancel()
        if self._answering is None:
            self._close_soon()

    def on_finish(self) -> None:
        """Let go of the way to the service; a request that nobody waits for ends."""
        super().on_finish()
        if self._sending is not None and not self._sending.done():
            self._sending.cancel()
        self._close_soon()

    def _close_soon(self) -> None:
        async def close() -> None:
            with suppress(httpx.HTTPError):
                await self._client.aclose()

        self._closing = asyncio.ensure_future(close())


def _is_near(url: str) -> bool:
    return urlsplit(url).hostname in {"localhost", "127.0.0.1", "::1"}


def _end_in_silence(response: httpx.Response) -> None:
    """Have reading fail where the service is silent for longer than it said it would be.

    The Hub's proxy leaves a connection open whose service has died.
    """
    with suppress(ValueError):
        told_s = float(response.headers.get("X-Ollama-Nb-Heartbeat", ""))
        # httpx's limit for each piece of a body, which its reader looks up when it begins.
        response.request.extensions["timeout"]["read"] = max(MISSED * told_s, SHORTEST_S)
