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
from ollama_nb_server.handlers.origins import scheme_outside
from ollama_nb_server.pages.actions import act
from ollama_nb_server.pages.pulls import Pulls
from ollama_nb_server.pages.rendering import Frame, page_of
from ollama_nb_server.pages.view import view_of
from ollama_nb_server.scheduling.context import Caller
from ollama_nb_server.sharing.tokens import BadTokens
from ollama_nb_server.wire.errors import KNOWN, describe

COOKIE = "ollama_nb_page"
DAYS = 1.0
HTML = "text/html"
MAX_FORM_BYTES = 1 << 16  # strangers may send one, and each of its fields is kept until it is read
FOREIGN = ("cross-site", "same-site")  # what browsers say of a form that another page sends
NOT_OURS = "Another page has sent that: sign in here."
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
    """What a page is made from, below which path, and the secret that its forms prove."""

    app: Callable[[], Awaitable[AppContext]]
    pulls: Pulls
    prefix: str
    secret: bytes


class PageHandler(web.RequestHandler):
    """Shows the page, and does what its forms say; a form carries a pass that only we can make."""

    def initialize(self, door: Door, behind: Behind) -> None:
        """Take the door and what stands behind it; have no log told the query."""
        self._door, self._behind, self.request.uri = door, behind, self.request.path

    async def get(self) -> None:
        """Show it."""
        await self._show(await self._door.caller(self))

    async def post(self) -> None:
        """Do what a form says, and show the page again."""
        action = self.get_body_argument("action", "")
        if action == "enter":
            is_foreign = self.request.headers.get("Sec-Fetch-Site") in FOREIGN
            token = self.get_body_argument("token", "")
            refused = NOT_OURS if is_foreign else self._door.enter(self, token)
            if refused:
                await self._show(None, refused, 403)
            else:
                self.redirect(self._here, status=303)
            return
        caller = await self._door.caller(self)
        if caller is None or self._finished:
            await self._show(caller)
            return
        given = self.get_body_argument("pass", "")
        if not hmac.compare_digest(given.encode(), self._pass(caller).encode()):
            await self._show(caller, "The page was too old for that: try again.", 403)
            return
        await self._act(caller, action, self.get_body_argument("value", ""))

    async def _act(self, caller: Caller, action: str, value: str) -> None:
        if action == "leave":
            self._door.leave(self)
            self.redirect(self._here, status=303)
            return
        app = await self._behind.app()
        try:
            told, status = await act(app, self._behind.pulls, caller, action, value), 200
        except KNOWN as error:
            status, told = describe(error, action) or (500, str(error))
        await self._show(caller, told or "The page has no such button.", status)

    async def _show(self, caller: Caller | None, told: str = "", status: int = 200) -> None:
        if self._finished:
            return
        view = None
        if caller is not None:
            view = await view_of(await self._behind.app(), self._behind.pulls, caller, self._url)
        frame = Frame(
            self._here,
            self._pass(caller) if caller is not None else "",
            told,
            self._door.how,
            self._door.may_leave,
            self._door.xsrf(self),
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
