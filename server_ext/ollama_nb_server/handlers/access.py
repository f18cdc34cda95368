"""Access to the stand-alone server: no login on a loopback address, a token where one is set."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Any

from tornado import web

from ollama_nb_server.handlers.origins import host_allowed, is_cross_origin, origin_allowed

METHODS = "GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS"
HEADERS = (
    "Authorization,Content-Type,User-Agent,Accept,X-Requested-With,Openai-Beta,X-Stainless-Arch,"
    "X-Stainless-Async,X-Stainless-Custom-Poll-Interval,X-Stainless-Helper-Method,X-Stainless-Lang,"
    "X-Stainless-Os,X-Stainless-Package-Version,X-Stainless-Poll-Helper,X-Stainless-Retry-Count,"
    "X-Stainless-Runtime,X-Stainless-Runtime-Version,X-Stainless-Timeout"
)
PREFLIGHT_VARY = ("Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers")
MAX_AGE_S = 43_200


@dataclass(frozen=True, slots=True)
class Policy:
    """What is checked: Host on loopback addresses, origins always, a token if there is one."""

    check_host: bool = True
    origins: tuple[str, ...] = ()
    token: str = ""


class Open(web.RequestHandler):
    """The stand-alone half of a handler; its policy is the application's setting `policy`."""

    SUPPORTED_METHODS = ("GET", "HEAD", "POST", "DELETE", "PATCH", "PUT", "OPTIONS")

    def initialize(self, prefix: str = "", **more: Any) -> None:
        """Remember the prefix."""
        self.prefix = prefix
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
        if (
            not self._finished
            and self.request.method != "OPTIONS"
            and not self._knows(policy.token)
        ):
            self.set_header("WWW-Authenticate", "Bearer")
            self.set_status(401)
            self.set_header("Content-Type", "application/json; charset=utf-8")
            self.finish(b'{"error":"unauthorized: no valid token"}')

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

    def _knows(self, token: str) -> bool:
        given = self.request.headers.get("Authorization", "")
        _, _, secret = given.partition(" ")
        return not token or hmac.compare_digest(secret.strip().encode(), token.encode())

    async def get(self, *_: str) -> None:
        """Every method is the route's affair."""
        await self.serve()  # type: ignore[attr-defined]

    head = post = delete = put = patch = options = get
