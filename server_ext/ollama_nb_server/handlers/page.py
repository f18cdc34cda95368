"""The page of a shared server, for browsers; programs that ask at its path get Ollama's own answer.

Who looks is a door's affair: `TokenDoor` here, a Hub's in `hub_access`.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from tornado import httputil, routing, web
from tornado.http1connection import HTTP1Connection

from ollama_nb_server.answering.app_context import AppContext
from ollama_nb_server.handlers.access import Policy
from ollama_nb_server.handlers.gate import RETRY_AFTER_S, Gate
from ollama_nb_server.handlers.origins import scheme_outside
from ollama_nb_server.pages.actions import END, act
from ollama_nb_server.pages.forms import Form
from ollama_nb_server.pages.pulls import Pulls
from ollama_nb_server.pages.rendering import Frame, page_of
from ollama_nb_server.pages.usage_view import BadChoice, Choice
from ollama_nb_server.pages.view import view_of
from ollama_nb_server.scheduling.context import Caller
from ollama_nb_server.sharing import BadSharing
from ollama_nb_server.sharing.tokens import BadTokens
from ollama_nb_server.wire.errors import KNOWN, NotAllowed, describe

COOKIE = "ollama_nb_page"
DAYS = 1.0
HTML = "text/html"
MAX_FORM_BYTES = 1 << 16  # strangers may send one, and each of its fields is kept until it is read
FOREIGN = ("cross-site", "same-site")  # what browsers say of a form that another page sends
NOT_OURS = "Another page has sent that: sign in here."
STOPPING = "This server is stopping, so that was not done: try again when it has started anew."
USUAL = Choice()
NO_FORM: Form = {}
WITH_TOKEN = "Your token is the one that you signed in with."


class Door(Protocol):
    """How a server finds out who looks at its page."""

    how: str  # programs get their token
    may_leave: bool

    async def caller(self, handler: web.RequestHandler) -> Caller | None:
        """Who looks; None: the answer has been sent, or a stranger is asked for a token."""

    def xsrf(self, handler: web.RequestHandler) -> str:
        """What else a form must carry for who looks to be believed; empty: nothing."""

    def enter(self, handler: web.RequestHandler, token: str) -> str:
        """Let somebody in; a sentence where that token opens nothing."""

    def leave(self, handler: web.RequestHandler) -> None:
        """Forget who looked."""


class TokenDoor:
    """Asks for the token that programs send, and remembers it in a cookie that is signed."""

    how, may_leave = WITH_TOKEN, True

    def __init__(self, policy: Policy, path: str) -> None:
        self._policy, self._path = policy, path

    async def caller(self, handler: web.RequestHandler) -> Caller | None:
        """Whose token the cookie holds, if it still opens the server."""
        token = handler.get_signed_cookie(COOKIE, max_age_days=DAYS)
        return self._find(token.decode()) if token else None

    def xsrf(self, handler: web.RequestHandler) -> str:
        """The cookie goes to no other site's forms."""
        return ""

    def enter(self, handler: web.RequestHandler, token: str) -> str:
        """Let in who has a token."""
        if self._find(token.strip()) is None:
            return "That token opens nothing here."
        is_https = scheme_outside(handler.request) == "https"
        handler.set_signed_cookie(
            COOKIE,
            token.strip(),
            expires_days=DAYS,
            path=self._path,
            httponly=True,
            samesite="Strict",
            secure=is_https,
        )
        return ""

    def leave(self, handler: web.RequestHandler) -> None:
        """Take the cookie away."""
        handler.clear_cookie(COOKIE, path=self._path)

    def _find(self, token: str) -> Caller | None:
        try:
            return self._policy.caller(token)
        except BadTokens:
            return None


@dataclass(frozen=True, slots=True)
class Behind:
    """What a page is made from, below which path, and the secret that its forms prove.

    `gate` knows whether the server stops, for which it has `drain_s` seconds; `people` are those
    whom it knows by name before they have asked anything.
    """

    app: Callable[[], Awaitable[AppContext]]
    pulls: Pulls
    prefix: str
    secret: bytes
    gate: Gate
    drain_s: float
    people: Callable[[], list[Caller]]

    @property
    def ending(self) -> str:
        """That the server stops, in a sentence; empty: it does not."""
        if not self.gate.is_closing:
            return ""
        count = len(self.gate)
        if not count:
            return "This server is stopping."
        requests = "1 request" if count == 1 else f"{count} requests"
        return (
            f"This server is stopping: {requests} may finish, for up to {self.drain_s:g} s; new "
            "ones are refused, until it has started again."
        )


class PageHandler(web.RequestHandler):
    """Shows the page, and does what its forms say; a form carries a pass that only we can make."""

    def initialize(self, door: Door, behind: Behind) -> None:
        """Take the door and what stands behind it; have no log told the query."""
        self._door, self._behind, self.request.uri = door, behind, self.request.path

    def prepare(self) -> None:
        """Say that there is nothing any more, once the server has let go of its models."""
        if self._behind.gate.is_closed:
            self.set_status(503)
            self.set_header("Retry-After", str(RETRY_AFTER_S))
            self.set_header("Content-Type", "text/plain; charset=utf-8")
            self.finish("This server has stopped.")

    async def get(self) -> None:
        """Show it; with `part=live`, only what changes by itself."""
        caller = await self._door.caller(self)
        if caller is None or self._finished:
            await self._show(None)
            return
        try:
            choice = Choice.of(
                self.get_query_argument("days", ""), self.get_query_argument("by", "")
            )
            is_part = self.get_query_argument("part", "") == "live"
            await self._show(caller, choice=None if is_part else choice)
        except (BadChoice, NotAllowed) as error:
            status, told = describe(error) or (500, str(error))
            await self._show(caller, told, status)

    async def post(self) -> None:
        """Do what a form says, and show the page again."""
        form = {name: self.get_body_argument(name) for name in self.request.body_arguments}
        action = form.get("action", "")
        if action == "enter":
            is_foreign = self.request.headers.get("Sec-Fetch-Site") in FOREIGN
            token = form.get("token", "")
            refused = NOT_OURS if is_foreign else self._door.enter(self, token)
            if refused:
                await self._show(None, refused, 403)
            else:
                self.redirect(self._here, status=303)
            return
        caller = await self._door.caller(self)
        if caller is None or self._finished:
            await self._show(None)
            return
        given = form.get("pass", "")
        if not hmac.compare_digest(given.encode(), self._pass(caller).encode()):
            await self._show(caller, "The page was too old for that: try again.", 403)
            return
        await self._act(caller, action, form)

    async def _act(self, caller: Caller, action: str, form: Form) -> None:
        if action == "leave":
            self._door.leave(self)
            self.redirect(self._here, status=303)
            return
        if self._behind.gate.is_closing and action != END:
            self.set_header("Retry-After", str(RETRY_AFTER_S))
            await self._show(caller, STOPPING, 503)
            return
        app = await self._behind.app()
        try:
            told, status = await act(app, self._behind.pulls, caller, action, form), 200
        except BadSharing as error:
            status, told = 400, str(error)
        except KNOWN as error:
            status, told = describe(error, action) or (500, str(error))
        await self._show(
            caller,
            told or "The page has no such button.",
            status,
            refused=form if status == 400 else {},
        )

    async def _show(
        self,
        caller: Caller | None,
        told: str = "",
        status: int = 200,
        choice: Choice | None = USUAL,
        refused: Form = NO_FORM,
    ) -> None:
        if self._finished:
            return
        view = None
        if caller is not None:
            app, people = await self._behind.app(), self._behind.people()
            view = await view_of(app, self._behind.pulls, caller, self._url, people, choice)
        frame = Frame(
            self._here,
            self._pass(caller) if caller is not None else "",
            told,
            self._door.how,
            self._door.may_leave,
            self._door.xsrf(self),
            refused,
            self._behind.ending,
            choice is None,
        )
        page, policy = page_of(view, frame)
        self.set_status(status)
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.set_header("Content-Security-Policy", policy)
        self.set_header("Cache-Control", "no-store")
        self.set_header("Referrer-Policy", "same-origin")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.finish(page)

    @property
    def _here(self) -> str:
        return f"{self._behind.prefix}/"

    @property
    def _url(self) -> str:
        return f"{scheme_outside(self.request)}://{self.request.host}{self._behind.prefix}"

    def _pass(self, caller: Caller) -> str:
        """What a form of this person must carry: no other page can know it."""
        return hmac.new(self._behind.secret, caller.name.encode(), hashlib.sha256).hexdigest()

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Say nothing of the inside."""
        self.finish(f"<p>{status_code}</p>")


class BrowserAsks(routing.PathMatches):
    """A path, where a browser asks for a page or sends a form."""

    def match(self, request: httputil.HTTPServerRequest) -> dict[str, Any] | None:
        """Whether this is one; programs go on to the API."""
        sends = request.headers.get("Content-Type", "").startswith(
            "application/x-www-form-urlencoded"
        )
        wants = HTML in request.headers.get("Accept", "")
        asks = (request.method == "GET" and wants) or (request.method == "POST" and sends)
        found = super().match(request) if asks else None
        if found is not None:
            assert isinstance(request.connection, HTTP1Connection)
            request.connection.set_max_body_size(MAX_FORM_BYTES)
        return found


def page_rule(door: Door, behind: Behind, handler: type[PageHandler] = PageHandler) -> routing.Rule:
    """The rule that stands before those of the API."""
    path = BrowserAsks(f"{behind.prefix}/?")
    return routing.Rule(path, handler, {"door": door, "behind": behind})
