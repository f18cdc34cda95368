"""What goes out: documents, streams and errors, in the shape of the route's API.

What is answered, and to whom, is `base`'s affair; how fast a client takes it, `outbox`'s.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, suppress
from functools import cached_property, partial
from http.client import responses
from typing import Any, Protocol

from tornado import iostream, web
from tornado.http1connection import HTTP1Connection

from ollama_nb_server.answering.app_context import AppContext
from ollama_nb_server.answering.heartbeat import AnswerStream, Heart, interval_for
from ollama_nb_server.answering.kept_streams import KeptStream
from ollama_nb_server.handlers.context import RESUME_HEADER
from ollama_nb_server.handlers.early import EarlyAnswer
from ollama_nb_server.handlers.outbox import Outbox
from ollama_nb_server.handlers.streaming import NDJSON, streaming_for
from ollama_nb_server.scheduling.context import OWNER, Caller
from ollama_nb_server.wire.encoding import LARGE_VALUES, encoded, pieces
from ollama_nb_server.wire.errors import ReadsTooSlowly
from ollama_nb_server.wire.extras import EXTRAS_HEADER, Extras

log = logging.getLogger(__name__)

JSON, JSON_BARE, TEXT = "application/json; charset=utf-8", "application/json", "text/plain"
INTERNAL = "internal server error; the server's log has the details"
SENT_AT_ONCE_BYTES = 1 << 20
MAX_HEADER_CHARS = 4000
WARNINGS_HEADER = "X-Ollama-Nb-Warnings"
HEARTBEAT_HEADER = "X-Ollama-Nb-Heartbeat"
STREAM_HEADER = "X-Ollama-Nb-Stream"


class Encodable(Protocol):
    """A wire response."""

    def encode(self) -> bytes:
        """Its JSON document."""


class Named(Protocol):
    """A route: its name in error sentences, and whose error shape it has."""

    @property
    def name(self) -> str:
        """In error sentences and the log."""

    @property
    def style(self) -> str:
        """One of `SHAPES`."""


class AnswerWriter(EarlyAnswer):
    """Writes answers; a stream whose client may come again goes on where the connection is lost."""

    route: Named
    caller: Caller = OWNER

    def open_with(self, app: Callable[[], Awaitable[AppContext]]) -> None:
        """Begin with nothing written; `app` opens what the verbs call."""
        self._open_app = app
        self._app: AppContext | None = None
        self._gone = False
        self._kept: KeptStream | None = None  # for who may come again for the rest
        self._is_resumable = False
        self._interval_s = math.inf  # seconds that a stream is silent at most
        self._streaming = NDJSON
        self._outbox = Outbox(self._written, self._drop)

    async def app_context(self) -> AppContext:
        """What the verbs call, opened by the first request."""
        self._app = await self._open_app()
        return self._app

    def cancel_kept(self) -> None:
        """Cancel what its reader has ended, or nobody reads any more."""
        raise NotImplementedError

    def send(self, body: bytes, content_type: str | None, status: int = 200) -> None:
        """Answer with these bytes and nothing else."""
        self.set_status(status)
        if content_type is None:
            self.clear_header("Content-Type")
        else:
            self.set_header("Content-Type", content_type)
        EarlyAnswer.finish(self, body)

    async def answer(
        self,
        answer: Encodable | AsyncIterator[Encodable] | AnswerStream[Any],
        content_type: str = JSON,
    ) -> None:
        """Answer with one document, or stream many: a line each, or an event."""
        if isinstance(answer, AnswerStream):
            beat = partial(self._beat, answer.heartbeat)
            interval_s = interval_for(answer.interval_s, is_shown=self.wants_extras)
            self._is_resumable = self.request.headers.get(RESUME_HEADER, "") == "1"
            self.tells_every(interval_s)
            await self._stream(answer.answers, Heart(beat, interval_s))
            return
        if isinstance(answer, AsyncIterator):
            await self._stream(answer, Heart(bool, math.inf))
            return
        self._warn(answer)
        if getattr(answer, "num_values", 0) > LARGE_VALUES:
            await self._in_pieces(answer, content_type)
        else:
            self.send(self._encoded(answer), content_type)

    def tells_every(self, interval_s: float) -> None:
        """Say in a stream's head that no longer time passes without a line: silence is death."""
        self._interval_s = interval_s

    async def _in_pieces(self, answer: Any, content_type: str) -> None:
        """One long document; others have their turn between its pieces."""
        self.set_header("Content-Type", content_type)
        app = await self.app_context()
        self._outbox.timeout_s = app.settings.send_timeout_s
        for piece in pieces(await app.executors.read(self._document, answer)):
            await self._outbox.end(piece)
            await asyncio.sleep(0)
        web.RequestHandler.finish(self)

    async def send_long(self, body: bytes, content_type: str) -> None:
        """Answer with what may be many bytes; over when the client has read them, or is dropped."""
        self.set_header("Content-Type", content_type)
        self.set_header("Content-Length", str(len(body)))
        self._outbox.timeout_s = (await self.app_context()).settings.send_timeout_s
        for at in range(0, len(body), SENT_AT_ONCE_BYTES):
            await self._outbox.end(body[at : at + SENT_AT_ONCE_BYTES])
        web.RequestHandler.finish(self)

    async def _stream(self, answers: AsyncIterator[Encodable], heart: Heart) -> None:
        """The head goes out with the first line, so that a failure before it has a real status."""
        self._outbox.timeout_s = (await self.app_context()).settings.send_timeout_s
        async with aclosing(answers):  # type: ignore[type-var]
            with heart:
                async for answer in answers:
                    self._tell(answer)
                    heart.told()
        if self._kept is not None:
            self._kept.end()
        if not self._gone:
            await self._outbox.end()
            web.RequestHandler.finish(self)
            if self._kept is not None:
                self._kept.was_read()

    def _tell(self, answer: Encodable) -> None:
        """Send a line of a stream."""
        if not self._headers_written:
            self._begin(answer)
        self._say(self._encoded(answer))

    def _say(self, document: bytes) -> None:
        if self._kept is None:
            self._outbox.put(self._streaming.framed(document))
            return
        self._kept.put(document)
        if not self._gone:
            with suppress(iostream.StreamClosedError):  # another connection may read the rest
                self._outbox.put(self._streaming.framed(document))

    def _begin(self, first: Encodable) -> None:
        self._warn(first)
        if self._is_resumable and self._app is not None:
            unread_s = self._app.settings.unread_s
            given = self.request.headers.get(STREAM_HEADER, "")
            self._kept = self._app.kept.open(self.caller.name, self.cancel_kept, unread_s, given)
            if self._kept is not None:
                self._kept.interval_s = self._interval_s
                self.set_header(STREAM_HEADER, self._kept.id)
        if self._interval_s < math.inf:
            self.set_header(HEARTBEAT_HEADER, f"{self._interval_s:g}")
        self._streaming = streaming_for(self.request.headers.get("Accept", ""))
        for name, value in self._streaming.headers.items():
            self.set_header(name, value)

    def _beat(self, heartbeat: Callable[[], Encodable]) -> None:
        """Say that the stream is alive; who has not read what came before need not hear it."""
        with suppress(iostream.StreamClosedError, ReadsTooSlowly):  # a lost client ends the task
            self._tell(heartbeat())

    def _written(self, data: bytes) -> asyncio.Future[None]:
        self.write(data)
        return self.flush()

    def _drop(self) -> None:
        """End the connection to a client that has read nothing for long."""
        log.warning("%s: the client read nothing for %g s", self.route.name, self._outbox.timeout_s)
        connection = self.request.connection
        assert isinstance(connection, HTTP1Connection)
        connection.stream.close()

    def _encoded(self, answer: Any) -> bytes:
        with_extras = self.wants_extras and getattr(answer, "nb", None) is not None
        return encoded(self._document(answer)) if with_extras else answer.encode()

    def _document(self, answer: Any) -> dict[str, Any]:
        """An answer as JSON, with what Ollama has no field for if the client asks for that."""
        document: dict[str, Any] = answer.document()
        nb: Extras | None = getattr(answer, "nb", None)
        return document | ({"nb": nb.document()} if self.wants_extras and nb is not None else {})

    @cached_property
    def wants_extras(self) -> bool:
        """Whether the client asks for more than Ollama has."""
        return self.request.headers.get(EXTRAS_HEADER, "") == "1"

    def _warn(self, answer: Any) -> None:
        if warnings := getattr(answer, "warnings", ()):
            sentences = "; ".join(warning.replace(";", ",") for warning in warnings)
            plain = "".join(c if " " <= c <= "~" else "?" for c in sentences[:MAX_HEADER_CHARS])
            self.set_header(WARNINGS_HEADER, plain)

    async def _end(self, sentence: str) -> None:
        """End a stream with an error."""
        document = encoded({"error": sentence})
        if self._kept is not None:
            self._kept.put(document)
            self._kept.end()
        if self._gone:
            return
        await self._outbox.end(self._streaming.framed(document))
        web.RequestHandler.finish(self)
        if self._kept is not None:
            self._kept.was_read()

    def refuse(self, status: int, sentence: str, content_type: str = JSON) -> None:
        """Answer with an error, in the shape of the route's API; the log has what is our fault."""
        if status >= 500:
            log.warning("%s: %d: %s", self.route.name, status, sentence)
        self.send(encoded(SHAPES[self.route.style](status, sentence)), content_type, status)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Errors that Tornado or Jupyter raise, in our shape."""
        error = (kwargs.get("exc_info") or (None, None))[1]
        said = getattr(error, "log_message", None) if isinstance(error, web.HTTPError) else None
        sentence = said or getattr(error, "reason", None) or responses.get(status_code, "error")
        if status_code >= 500 and not isinstance(error, web.HTTPError):
            sentence = INTERNAL
        self.refuse(status_code, sentence)


def _native(_: int, sentence: str) -> dict[str, Any]:
    return {"error": sentence}


def _openai(status: int, sentence: str) -> dict[str, Any]:
    kind = {400: "invalid_request_error", 404: "not_found_error"}.get(status, "api_error")
    return {"error": {"message": sentence, "type": kind, "param": None, "code": None}}


def _anthropic(status: int, sentence: str) -> dict[str, Any]:
    kinds = {400: "invalid_request_error", 404: "not_found_error", 503: "overloaded_error"}
    return {"type": "error", "error": {"type": kinds.get(status, "api_error"), "message": sentence}}


SHAPES: dict[str, Callable[[int, str], dict[str, Any]]] = {
    "native": _native,
    "openai": _openai,
    "anthropic": _anthropic,
}
