"""What every handler does: dispatch by the route, write answers and streams, answer errors.

Mixed into a class that brings authentication: `access.Open` stand-alone, `extension.Jupyter` inside
Jupyter.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from functools import cached_property, partial
from http.client import responses
from typing import Any, Protocol, TypeVar

from tornado import iostream, web
from tornado.http1connection import HTTP1Connection

from ollama_nb_server.answering.app_context import AppContext
from ollama_nb_server.answering.heartbeat import AnswerStream, Heart, interval_for
from ollama_nb_server.answering.kept_streams import KeptStream
from ollama_nb_server.answering.live import LiveRequest
from ollama_nb_server.handlers.body_memory import BodyLimits, BodyMemory
from ollama_nb_server.handlers.context import RESUME_HEADER, TIMEOUT_HEADER, context_of
from ollama_nb_server.handlers.early import EarlyAnswer
from ollama_nb_server.handlers.outbox import Outbox
from ollama_nb_server.handlers.rights import Right, check_right
from ollama_nb_server.handlers.streaming import NDJSON, streaming_for
from ollama_nb_server.scheduling.context import OWNER, Caller, Receipt, RequestContext
from ollama_nb_server.scheduling.errors import QuotaSpent
from ollama_nb_server.scheduling.usage import ACCOUNTED, Account, Refused, Told, to_log
from ollama_nb_server.wire.encoding import LARGE_VALUES, encoded, pieces
from ollama_nb_server.wire.errors import (
    KNOWN,
    DeadlinePassed,
    EndedOnThePage,
    ReadsTooSlowly,
    describe,
    describe_midway,
)
from ollama_nb_server.wire.extras import EXTRAS_HEADER, Extras
from ollama_nb_server.wire.golike import GoModel, read

log = logging.getLogger(__name__)

JSON, JSON_BARE, TEXT = "application/json; charset=utf-8", "application/json", "text/plain"
INTERNAL = "internal server error; the server's log has the details"
READ_AT_ONCE_BYTES = 1 << 16
SENT_AT_ONCE_BYTES = 1 << 20
MAX_HEADER_CHARS = 4000
OF_RULES = frozenset({403, 404, 413, 429, 503})  # refusals that the accounts have
WARNINGS_HEADER = "X-Ollama-Nb-Warnings"
RETRY_AT_HEADER = "X-Ollama-Nb-Retry-At"
HEARTBEAT_HEADER = "X-Ollama-Nb-Heartbeat"
STREAM_HEADER = "X-Ollama-Nb-Stream"


Model = TypeVar("Model", bound=GoModel)


class Encodable(Protocol):
    """A wire response."""

    def encode(self) -> bytes:
        """Its JSON document."""


Verb = Callable[["ApiHandler"], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Route:
    """A path (a regular expression below the prefix), its name in error sentences, its methods."""

    path: str
    name: str
    methods: Mapping[str, Verb]
    style: str = "native"  # whose error shape: native, openai, anthropic
    right: Right = Right.USE
    goes_on: bool = False  # with what is under way: let in while the server ends, beyond limits too

    @property
    def allow(self) -> str:
        """The `Allow` header."""
        return ", ".join(sorted(self.methods))


class ApiHandler(EarlyAnswer):
    """One request: run the route's verb; a client that goes away cancels it.

    Who may not, and what is too large, is refused before the body is read.
    """

    route: Route
    prefix: str
    caller: Caller = OWNER
    _open_app: Callable[[], Awaitable[AppContext]]

    def initialize(
        self,
        route: Route,
        app: Callable[[], Awaitable[AppContext]],
        bodies: BodyMemory,
        account: Account = to_log,
        **more: Any,
    ) -> None:
        """Take the route, where bodies are counted, and who hears of refusals."""
        super().initialize(**more)
        self.route, self._open_app, self._bodies = route, app, bodies
        self._account, self._receipt = account, Receipt()
        self._pieces: list[bytes] = []
        self._num_bytes = 0
        self._limits: BodyLimits | None = None
        self._task: asyncio.Task[Any] | None = None
        self._gone, self._late, self._is_cancelled = False, False, False
        self._is_unwanted = False  # whether an administrator, or its own user, has ended it
        self._app: AppContext | None = None
        self._asked = ""  # the model, as far as the request has been read
        self._live: LiveRequest | None = None
        self._kept: KeptStream | None = None  # for who may come again for the rest
        self._is_resumable, self._is_ended = False, False
        self._interval_s = math.inf  # seconds that a stream is silent at most
        self._alarm: asyncio.TimerHandle | None = None
        self._streaming = NDJSON
        self._outbox = Outbox(self._written, self._drop)

    async def prepare(self, **more: Any) -> None:
        """See who calls, what they may, and how much they send, before any of it is read."""
        await super().prepare(**more)  # type: ignore[misc]
        if self._finished or self.request.method == "OPTIONS":
            return
        try:
            if self.request.method in self.route.methods:
                await self._check_right()
            await self.expect_body()
            if self.announced_bytes != 0:
                self.accept_body()
        except KNOWN as error:
            self._refuse_for(error)

    async def expect_body(self) -> None:
        """Make room for the body, if one comes, or raise one of the errors in `KNOWN`."""
        if self.announced_bytes == 0:
            return
        sharing = (await self.app_context()).settings.sharing
        self._limits = BodyLimits.of(sharing, self.caller)
        self._hold(self.announced_bytes or 0)

    def take(self, chunk: bytes) -> Awaitable[None] | None:
        """Keep a piece of the body, whose length may not have been announced."""
        self._num_bytes += len(chunk)
        try:
            if self.announced_bytes is None:
                self._hold(self._num_bytes)
            self._pieces.append(chunk)
        except KNOWN as error:
            self._pieces.clear()
            self._refuse_for(error)
        return None

    def _hold(self, num_bytes: int) -> None:
        assert self._limits is not None
        self._bodies.hold(self, self.caller, num_bytes, self._limits)

    def on_finish(self) -> None:
        """Free what the request held."""
        self._bodies.free(self)
        super().on_finish()

    async def serve(self) -> None:
        """Run the verb of this method; the body is here."""
        if self._finished:
            return
        self.request.body = b"".join(self._pieces)
        self._pieces.clear()
        verb = self.route.methods.get(self.request.method or "")
        if verb is None:
            self.set_header("Allow", self.route.allow)
            self.send(b"405 method not allowed", TEXT, 405)
            return
        self._task = asyncio.current_task()
        try:
            self._check_client()
            await verb(self)
        except KNOWN as error:
            await self._fail(error)
        except iostream.StreamClosedError:
            log.info("%s: the client went away", self.route.name)
        except asyncio.CancelledError:
            await self._cancelled()
        except Exception:
            self._note(500)
            if not self._headers_written:
                raise  # Tornado logs it with its traceback, and asks for `write_error`
            log.exception("%s, after it had begun", self.route.name)
            await self._end(INTERNAL)
        finally:
            self._task = None
            self._bodies.free(self)
            if self._live is not None and self._app is not None:
                self._app.live.leave(self._live)
            if self._kept is not None:
                self._kept.end()
            if self._alarm is not None:
                self._alarm.cancel()
            self._outbox.close()

    async def _cancelled(self) -> None:
        """Say why, if somebody still reads; a cancellation from elsewhere goes on."""
        if self._gone:
            log.info("%s: the client went away", self.route.name)
        elif self._is_ended:
            await self._end("the stream was ended by who reads it")
        elif self._is_unwanted:
            await self._fail(EndedOnThePage())
        elif self._late:
            await self._fail(DeadlinePassed(TIMEOUT_HEADER, self.request.headers[TIMEOUT_HEADER]))
        else:
            raise asyncio.CancelledError

    async def _check_right(self) -> None:
        if self.route.right is not Right.USE:
            check_right(self.route, self.caller, (await self.app_context()).settings.sharing)

    async def read(self, kind: type[Model]) -> Model:
        """The request's body; a long one beside the event loop."""
        body = self.request.body
        if len(body) <= READ_AT_ONCE_BYTES:
            request = read(kind, body)
        else:
            request = await (await self.app_context()).executors.read(read, kind, body)
        self._asked = str(getattr(request, "model", None) or "")
        return request

    async def app_context(self) -> AppContext:
        """What the verbs call, opened by the first request."""
        self._app = await self._open_app()
        return self._app

    def request_context(self) -> RequestContext:
        """Who asks, how urgently, and until when; from now on the request ends at its deadline.

        Raises
        ------
        BadPriority, BadTimeout
            If a header says something else than it may.
        """
        loop = asyncio.get_running_loop()
        context = context_of(self.request.headers, self.caller, loop.time(), self.route.name)
        self._receipt = context.receipt
        if context.deadline is not None:
            self._alarm = loop.call_at(context.deadline, self._cancel_late)
        if self._app is not None:
            self._live = self._app.live.enter(
                context.user,
                self.route.name,
                self._asked,
                self._cancel_unwanted,
                lambda: self._headers_written,
            )
            context = replace(context, live=self._live.id)
        return context

    def _cancel_late(self) -> None:
        """Cancel what is not done at its deadline."""
        self._late = True
        self._cancel()

    def _cancel_kept(self) -> None:
        """Cancel what its reader has ended, or nobody reads any more."""
        self._is_ended = True
        self._cancel()

    def _cancel_unwanted(self) -> None:
        """Cancel what somebody has ended who may."""
        self._is_unwanted = True
        self._cancel()

    def _cancel(self) -> None:
        """Cancel the request, once: what ends it may take a moment, and is not cancelled itself."""
        if self._task is not None and not self._is_cancelled:
            self._is_cancelled = True
            self._task.cancel()

    def _check_client(self) -> None:
        """Serve nobody who has left while the request was read or authorised.

        A connection that was closed by then tells nobody of it: Tornado listens from now on.
        """
        connection = self.request.connection
        if isinstance(connection, HTTP1Connection) and connection.stream.closed():
            raise iostream.StreamClosedError

    def on_connection_close(self) -> None:
        """Cancel what the client will not read any more."""
        if self._task is None:
            self._bodies.free(self)
        super().on_connection_close()
        self._gone = True
        if self._kept is not None and self._task is not None:
            log.info("%s: the connection is lost, the stream goes on", self.route.name)
            self._kept.left()
        elif self._task is not None:
            self._task.cancel()

    # --- answers ----------------------------------------------------------------------------------

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
            self._kept = self._app.kept.open(self.caller.name, self._cancel_kept, unread_s, given)
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

    # --- errors -----------------------------------------------------------------------------------

    def _refuse_for(self, error: Exception) -> None:
        """Answer with an error's status, sentence and time to come again."""
        status, sentence = describe(error, self.route.name) or (500, str(error))
        if (retry_after_s := getattr(error, "retry_after_s", None)) is not None:
            self.set_header("Retry-After", str(max(math.ceil(retry_after_s), 1)))
        if isinstance(error, QuotaSpent):
            self.set_header(RETRY_AT_HEADER, error.retry_at.isoformat(timespec="seconds"))
        self._note(status)
        self.refuse(status, sentence)

    def turn_away(self, status: int, sentence: str, retry_after_s: int) -> None:
        """Refuse somebody who is known, before anything of the request has been read."""
        self.set_header("Retry-After", str(retry_after_s))
        self._note(status)
        self.refuse(status, sentence)

    def _note(self, status: int) -> None:
        """Have the accounts hear how a request ended that a rule or an error ended."""
        if self.route.name not in ACCOUNTED:
            return
        if self._receipt.number is not None:
            self._account(Told(self._receipt.number, status))
        elif status in OF_RULES:
            user, verb = self.caller.name, self.route.name
            self._account(Refused(user, verb, self._asked, status, time.time()))

    async def _fail(self, error: Exception) -> None:
        if not self._headers_written:
            self._refuse_for(error)
            return
        sentence = describe_midway(error, self.route.name) or str(error)
        self._note((describe(error, self.route.name) or (500, ""))[0])
        log.warning("%s, after it had begun: %s", self.route.name, sentence)
        await self._end(sentence)

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
