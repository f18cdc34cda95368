"""Access to the stand-alone server: no login on a loopback address, a token where one is set."""

from __future__ import annotations

import hmac
import json
import logging
from dataclasses import dataclass, field
from typing import Any

from tornado import web

from ollama_nb_server.handlers.origins import host_allowed, is_cross_origin, origin_allowed
from ollama_nb_server.scheduling.context import OWNER, Caller
from ollama_nb_server.sharing import Sharing
from ollama_nb_server.sharing.tokens import BadTokens, Named, TokenFile

log = logging.getLogger(__name__)

METHODS = "GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS"
HEADERS = (
    "Authorization,Content-Type,User-Agent,Accept,X-Requested-With,Openai-Beta,X-Stainless-Arch,"
    "X-Stainless-Async,X-Stainless-Custom-Poll-Interval,X-Stainless-Helper-Method,X-Stainless-Lang,"
    "X-Stainless-Os,X-Stainless-Package-Version,X-Stainless-Poll-Helper,X-Stainless-Retry-Count,"
    "X-Stainless-Runtime,X-Stainless-Runtime-Version,X-Stainless-Timeout"
)
NO_TOKEN = "unauthorized: no valid token (send one as `Authorization: Bearer TOKEN`)"
PREFLIGHT_VARY = ("Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers")
MAX_AGE_S = 43_200


@dataclass(frozen=True, slots=True)
class Policy:
    """What is checked: Host on loopback addresses, origins always, a token if there is one."""

    check_host: bool = True
    origins: tuple[str, ...] = ()
    token: str = field(default="", repr=False)
    tokens: TokenFile | None = None
    sharing: Sharing = field(default_factory=Sharing)

    @property
    def knows_people(self) -> bool:
        """Whether nobody is let in without a token."""
        return bool(self.token) or self.tokens is not None

    def people(self) -> list[Caller]:
        """All who have a token with a name; nobody, if their file cannot be used."""
        try:
            named = [] if self.tokens is None else self.tokens.all()
        except BadTokens as error:
            log.error("%s", error)
            return []
        return [self._named(one) for one in named]

    def caller(self, secret: str) -> Caller | None:
        """Who has this secret; None: nobody may call with it.

        Raises
        ------
        BadTokens
            If the file of tokens cannot be used.
        """
        if self.token and hmac.compare_digest(secret.encode(), self.token.encode()):
            return OWNER
        named = self.tokens.find(secret) if self.tokens is not None else None
        if named is not None:
            return self._named(named)
        return None if self.knows_people else OWNER

    def _named(self, one: Named) -> Caller:
        manages = self.sharing.may_manage(one.groups, is_admin=one.is_admin)
        return Caller(one.name, manages, one.groups)


class Open(web.RequestHandler):
    """The stand-alone half of a handler; its policy is the application's setting `policy`."""

    SUPPORTED_METHODS = ("GET", "HEAD", "POST", "DELETE", "PATCH", "PUT", "OPTIONS")

    def initialize(self, prefix: str = "", **more: Any) -> None:
        """Remember the prefix; have no log told the query, in which somebody may send a token."""
        self.prefix, self.request.uri = prefix, self.request.path
        super().initialize(**more)

    async def prepare(self) -> None:
        """Refuse strangers before anything is read of their request."""
        policy: Policy = self.settings["policy"]
        host = self.request.headers.get("Host", "")
        origin = self.request.headers.get("Origin")
        if policy.check_host and not host_allowed(host):
            self._refused(403)
        elif origin and is_cross_origin(origin, host):
            self._check_origin(origin, policy)
        if not self._finished and self.request.method != "OPTIONS":
            await self.identify(policy)

    async def identify(self, policy: Policy) -> None:
        """Find out who calls, or refuse."""
        _, _, secret = self.request.headers.get("Authorization", "").partition(" ")
        try:
            caller = policy.caller(secret.strip())
        except BadTokens as error:
            log.error("nobody is let in: %s", error)
            caller = None
        if caller is not None:
            self.caller = caller
            return
        self.set_header("WWW-Authenticate", "Bearer")
        self.set_status(401)
        self.set_header("Content-Type", "application/json; charset=utf-8")
        self.finish(json.dumps({"error": NO_TOKEN}))

    def _check_origin(self, origin: str, policy: Policy) -> None:
        if "*" in policy.origins:
            self.set_header("Access-Control-Allow-Origin", "*")
        elif origin_allowed(origin, policy.origins):
            self.set_header("Access-Control-Allow-Origin", origin)
            self.set_header("Vary", "Origin")
        else:
            self._refused(403)
            return
        if self.request.method == "OPTIONS":
            self._preflight("*" in policy.origins)

    def _preflight(self, everybody: bool) -> None:
        self.set_header("Access-Control-Allow-Methods", METHODS)
        self.set_header("Access-Control-Allow-Headers", HEADERS)
        self.set_header("Access-Control-Max-Age", str(MAX_AGE_S))
        if not everybody:
            self.clear_header("Vary")
            for name in PREFLIGHT_VARY:
                self.add_header("Vary", name)
        self._refused(204)

    def _refused(self, status: int) -> None:
        self.set_status(status)
        self.clear_header("Content-Type")
        self.finish()

    async def get(self, *_: str) -> None:
        """Every method is the route's affair."""
        await self.serve()  # type: ignore[attr-defined]

    head = post = delete = put = patch = options = get
