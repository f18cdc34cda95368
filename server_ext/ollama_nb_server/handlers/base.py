"""What every handler does: see who calls, dispatch by the route, end with an error where one comes.

Answers are written by `writing`. Mixed into a class that brings authentication: `access.Open`
stand-alone, `extension.Jupyter` inside Jupyter.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from tornado import iostream
from tornado.http1connection import HTTP1Connection

from ollama_nb_server.answering.app_context import AppContext
from ollama_nb_server.answering.live import LiveRequest
from ollama_nb_server.handlers.body_memory import BodyLimits, BodyMemory
from ollama_nb_server.handlers.context import TIMEOUT_HEADER, context_of
from ollama_nb_server.handlers.rights import Right, check_right
from ollama_nb_server.handlers.writing import INTERNAL, TEXT, AnswerWriter
from ollama_nb_server.scheduling.context import OWNER, Caller, Receipt, RequestContext
from ollama_nb_server.scheduling.errors import QuotaSpent
from ollama_nb_server.scheduling.usage import ACCOUNTED, Account, Refused, Told, to_log
from ollama_nb_server.wire.errors import (
    KNOWN,
    DeadlinePassed,
    EndedOnThePage,
    describe,
    describe_midway,
)
from ollama_nb_server.wire.golike import GoModel, read

log = logging.getLogger(__name__)

READ_AT_ONCE_BYTES = 1 << 16
OF_RULES = frozenset({403, 404, 413, 429, 503})  # refusals that the accounts have
RETRY_AT_HEADER = "X-Ollama-Nb-Retry-At"


Model = TypeVar("Model", bound=GoModel)


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


class ApiHandler(AnswerWriter):
    """One request: run the route's verb; a client that goes away cancels it.

    Who may not, and what is too large, is refused before the body is read.
    """

    route: Route
    prefix: str
    caller: Caller = OWNER

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
        self.open_with(app)
        self.route, self._bodies = route, bodies
        self._account, self._receipt = account, Receipt()
        self._pieces: list[bytes] = []
        self._num_bytes = 0
        self._limits: BodyLimits | None = None
        self._task: asyncio.Task[Any] | None = None
        self._late, self._is_cancelled = False, False
        self._is_unwanted = False  # whether an administrator, or its own user, has ended it
        self._asked = ""  # the model, as far as the request has been read
        self._live: LiveRequest | None = None
        self._is_ended = False
        self._alarm: asyncio.TimerHandle | None = None

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
            self._bodies.free(self)
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

    def cancel_kept(self) -> None:
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
